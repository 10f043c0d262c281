//! Whose certificates are believed: the web's authorities, those of a PEM file, or both.
//!
//! A file is looked at when it is named, so that a wrong one is told at once; it is read when the first server
//! is judged, and again before the next one when it changed. What is wrong then is logged, and the authorities
//! before it go on being believed.

#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

/// Why a file of authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error("cannot read certificates from `{}` ({named})", .path.display())]
    Read {
        path: PathBuf,
        /// What names the file: an environment variable, a parameter.
        named: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read certificates from `{}` ({named})", .path.display())]
    Form {
        path: PathBuf,
        named: &'static str,
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    #[error("`{}` ({named}) holds no certificate that can be trusted", .path.display())]
    None { path: PathBuf, named: &'static str },
}

/// Where authorities come from.
#[derive(Debug)]
pub struct Roots {
    web: bool,
    file: Option<(PathBuf, &'static str)>,
}

/// What tells that a file is another one than before: links are followed, so a renamed folder counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: Option<SystemTime>,
}

#[derive(Debug)]
struct Read {
    at: Option<Stamp>,
    verifier: Arc<WebPkiServerVerifier>,
}

/// Judges servers by [`Roots`].
#[derive(Debug)]
struct Judge {
    roots: Roots,
    provider: Arc<CryptoProvider>,
    read: Mutex<Option<Read>>,
}

impl Roots {
    /// The web's authorities, and those in `file` besides; `named` says where the file was named.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn web(file: Option<&Path>, named: &'static str) -> Result<Self, RootsError> {
        Self { web: true, file: file.map(|path| (path.to_owned(), named)) }.looked_at()
    }

    /// Those in `file` alone.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn only(file: &Path, named: &'static str) -> Result<Self, RootsError> {
        Self { web: false, file: Some((file.to_owned(), named)) }.looked_at()
    }

    /// Not read as certificates yet: there may be hundreds, and no server to judge.
    fn looked_at(self) -> Result<Self, RootsError> {
        const MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";
        let Some((path, named)) = &self.file else { return Ok(self) };
        let read = fs::read(path).map_err(|source| RootsError::Read { path: path.clone(), named, source })?;
        match read.windows(MARK.len()).any(|window| window == MARK) {
            true => Ok(self),
            false => Err(RootsError::None { path: path.clone(), named }),
        }
    }

    /// TLS 1.2 and 1.3 with servers that these authorities vouch for, without a certificate of our own.
    ///
    /// # Errors
    /// When the versions and what ring offers do not go together.
    pub fn client_config(self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let judge = Arc::new(Judge { roots: self, provider: provider.clone(), read: Mutex::default() });
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder.dangerous().with_custom_certificate_verifier(judge).with_no_client_auth())
    }

    fn stamp(&self) -> Option<Stamp> {
        use std::os::unix::fs::MetadataExt;
        let told = fs::metadata(&self.file.as_ref()?.0).ok()?;
        Some(Stamp { device: told.dev(), inode: told.ino(), length: told.len(), changed: told.modified().ok() })
    }

    fn store(&self) -> Result<RootCertStore, RootsError> {
        let mut store = RootCertStore::empty();
        if self.web {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let Some((path, named)) = &self.file else { return Ok(store) };
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|source| RootsError::Form { path: path.clone(), named, source })?;
        match store.add_parsable_certificates(certificates) {
            (0, _) => Err(RootsError::None { path: path.clone(), named }),
            _ => Ok(store),
        }
    }
}

impl Judge {
    /// Blocks for the reading of a file, some milliseconds for some hundred certificates, when it is new.
    fn current(&self) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let stamp = self.roots.stamp();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *read {
            // A file that is away has not changed.
            Some(before) if stamp.is_none() || before.at == stamp => Ok(before.verifier.clone()),
            before => match (self.made(), before) {
                (Ok(verifier), before) => {
                    *before = Some(Read { at: stamp, verifier: verifier.clone() });
                    Ok(verifier)
                }
                (Err(error), Some(before)) => {
                    tracing::warn!(error = %document::problem::chain(&error), "the certificates before it go on being believed");
                    before.at = stamp;
                    Ok(before.verifier.clone())
                }
                (Err(error), None) => {
                    tracing::error!(error = %document::problem::chain(&error), "no server can be trusted");
                    Err(Error::General(document::problem::chain(&error)))
                }
            },
        }
    }

    fn made(&self) -> Result<Arc<WebPkiServerVerifier>, RootsError> {
        let store = Arc::new(self.roots.store()?);
        let builder = WebPkiServerVerifier::builder_with_provider(store, self.provider.clone());
        Ok(builder.build().expect("a store with authorities and no lists of revoked ones"))
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.current()?.verify_server_cert(certificate, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
