//! Whose certificates are believed, and which protocols are offered.

use std::path::{Path, PathBuf};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::sync::Arc;

/// Why the operator's own roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error("cannot read certificates from `{}` (SSL_CERT_FILE)", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    #[error("`{}` (SSL_CERT_FILE) holds no certificate that can be trusted", .path.display())]
    None { path: PathBuf },
}

/// The web's roots, and those in the operator's file.
pub(super) fn roots(file: Option<&Path>) -> Result<RootCertStore, RootsError> {
    let mut store = RootCertStore::empty();
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let Some(path) = file else { return Ok(store) };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| RootsError::Read { path: path.to_owned(), source })?;
    match store.add_parsable_certificates(certificates) {
        (0, _) => Err(RootsError::None { path: path.to_owned() }),
        _ => Ok(store),
    }
}

/// HTTP/2 before HTTP/1.1; no client certificate.
pub(super) fn config(roots: RootCertStore) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}
