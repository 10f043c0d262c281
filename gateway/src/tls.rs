//! The server's side of TLS: one certificate chain, ring, HTTP/2 before HTTP/1.1 by ALPN.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ServerConfig, crypto::ring, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _};
use tokio_rustls::TlsAcceptor;

/// A certificate and its key, ready for listeners. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read certificates from `{path}`; it must be a PEM file with the chain, the server's own first")]
    Certificate {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },

    #[error("`{path}` holds no certificate")]
    NoCertificate { path: PathBuf },

    #[error("cannot read a private key from `{path}`; it must be a PEM file with one key, not encrypted")]
    Key {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },

    #[error("the certificate in `{certificate}` and the key in `{key}` do not work together")]
    Mismatch {
        certificate: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads a certificate chain and its key from PEM files. Blocks on the files: for start-up.
    pub fn from_pem_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|source| TlsError::Certificate { path: certificate.into(), source })?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate { path: certificate.into() });
        }
        let private_key =
            PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Key { path: key.into(), source })?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("ring has suites for both versions")
            .with_no_client_auth()
            .with_single_cert(chain, private_key)
            .map_err(|source| TlsError::Mismatch { certificate: certificate.into(), key: key.into(), source })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.clone())
    }
}
