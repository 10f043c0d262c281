//! How a connection to an operator's server is encrypted and whose certificate is believed.

use std::{path::PathBuf, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::unjudged::Unjudged;
use manifest::TlsMode;

/// Why TLS cannot be set up; nothing was connected.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read certificates from `{path}` (sslrootcert)")]
    Roots {
        path: PathBuf,
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    #[error("`{path}` (sslrootcert) holds no certificate that can be trusted")]
    NoRoots { path: PathBuf },
    #[error("TLS cannot be set up")]
    Protocols(#[source] rustls::Error),
}

/// What the handshake uses; `None` when there shall be none.
pub(super) fn client_config(mode: TlsMode, roots: Option<PathBuf>) -> Result<Option<Arc<ClientConfig>>, TlsError> {
    if mode == TlsMode::Disable {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Protocols)?;
    let config = match (mode, roots) {
        (TlsMode::Require, roots) => builder.with_root_certificates(root_store(roots)?).with_no_client_auth(),
        (TlsMode::Prefer | TlsMode::Disable, _) => {
            // What `prefer` promises.
            let anyone = Arc::new(Unjudged(provider));
            builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
        }
    };
    Ok(Some(Arc::new(config)))
}

fn root_store(path: Option<PathBuf>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let Some(path) = path else {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(store);
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(&path)
        .and_then(Iterator::collect)
        .map_err(|source| TlsError::Roots { path: path.clone(), source })?;
    store.add_parsable_certificates(certificates);
    match store.is_empty() {
        true => Err(TlsError::NoRoots { path }),
        false => Ok(store),
    }
}
