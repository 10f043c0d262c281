//! The server's side of TLS: one certificate chain, ring, HTTP/2 before HTTP/1.1 by ALPN.
//!
//! Its files are read again when they change, by their content: so a file that was renamed into
//! place counts, and one behind a symlink that was replaced. Whoever holds a [`Tls`] says when to
//! look. What cannot be used changes nothing.

pub mod expiry;
mod names;

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use ring::digest::{Context, SHA256};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring as provider,
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
    version,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem, pem::PemObject as _};
use tokio_rustls::TlsAcceptor;

use crate::quiet::Quiet;
pub(crate) use names::names;

/// A chain, a key and roots are some kilobytes; nobody's files are read for longer than this.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// Where the PEM files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Whose certificates clients are asked for; none: nobody is asked for one.
    pub client_ca: Option<PathBuf>,
    /// Clients without a certificate are let in, too.
    pub without_too: bool,
}

/// A certificate and its key, ready for listeners. Cheap to clone; clones follow the files together.
#[derive(Clone)]
pub struct Tls(Arc<Followed>);

struct Followed {
    files: Files,
    now: ArcSwap<Usable>,
    looked: Mutex<Looked>,
    refused: Quiet,
}

struct Usable {
    config: Arc<ServerConfig>,
    not_after: Option<SystemTime>,
    /// By whom clients are judged; none: they are not.
    judge: Option<Arc<dyn ClientCertVerifier>>,
    /// Grows with each change of the authorities that `judge` believes.
    authorities: u64,
}

/// What was found by looking.
struct Looked {
    /// The digest of the texts that are used.
    used: Digest,
    /// The authorities among them.
    client_ca: Option<Vec<u8>>,
    /// That of texts that cannot be used, and how often they were there in a row.
    odd: Option<(Digest, u32)>,
}

/// None: not all of them could be read.
type Digest = Option<[u8; 32]>;

/// Why a client's certificate proves nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unproven {
    #[error("clients are not asked for certificates any more")]
    Unasked,
    #[error("{0}")]
    Refused(rustls::Error),
}

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

    #[error("`{path}` holds no certificate that clients could be judged by")]
    ClientCa {
        path: PathBuf,
        #[source]
        source: VerifierBuilderError,
    },
}

impl Tls {
    /// Reads the files. Blocks on them: for start-up.
    pub fn read(files: Files) -> Result<Self, TlsError> {
        let texts = Texts::read(&files)?;
        let used = Some(texts.digest());
        let now = ArcSwap::from_pointee(texts.usable(&files)?);
        let looked = Mutex::new(Looked { used, client_ca: texts.client_ca, odd: None });
        Ok(Self(Arc::new(Followed { files, now, looked, refused: Quiet::default() })))
    }

    /// Looks at the files again, and uses what is in them from the next connection on. Blocks on them.
    /// Whether there was anything new.
    ///
    /// # Errors
    /// What is in them cannot be used, for the second time in a row and only then: two files are not
    /// written at one moment. What was used is used on.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let Followed { files, now, looked, .. } = &*self.0;
        // A panic while it was held left nothing half done.
        let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = Texts::read(files);
        let digest = texts.as_ref().ok().map(Texts::digest);
        if digest.is_some() && digest == looked.used {
            looked.odd = None;
            return Ok(false);
        }
        match texts.and_then(|texts| Ok((texts.usable(files)?, texts.client_ca))) {
            Ok((mut usable, client_ca)) => {
                usable.authorities = now.load().authorities + u64::from(client_ca != looked.client_ca);
                now.store(Arc::new(usable));
                *looked = Looked { used: digest, client_ca, odd: None };
                Ok(true)
            }
            Err(error) => {
                let times = looked.odd.filter(|(odd, _)| *odd == digest).map_or(1, |(_, times)| times + 1);
                looked.odd = Some((digest, times));
                if times == 2 { Err(error) } else { Ok(false) }
            }
        }
    }

    /// Where the certificate is.
    pub fn certificate(&self) -> &Path {
        &self.0.files.certificate
    }

    /// Until when the server's own certificate is good; none where it does not say so in a way we read.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.0.now.load().not_after
    }

    /// Tells why a client's certificate was refused, if that is what was wrong.
    pub(crate) fn refused(&self, client: SocketAddr, error: &io::Error) {
        let is_judged = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(reason)) = is_judged
            && let Some(kept_back) = self.0.refused.may_say()
        {
            tracing::info!(%client, reason = ?reason, keptBack = kept_back, "a client's certificate is refused");
        }
    }

    /// What a chain of a client's is worth by the authorities of now, its own certificate first, and which these are.
    pub(crate) fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> (u64, Result<(), Unproven>) {
        let usable = self.0.now.load();
        let verdict = match (&usable.judge, chain.split_first()) {
            (Some(judge), Some((own, others))) => judge.verify_client_cert(own, others, now).map_err(Unproven::Refused),
            _ => Err(Unproven::Unasked),
        };
        (usable.authorities, verdict.map(drop))
    }

    /// Which authorities are asked now: the number grows with each change of them.
    pub(crate) fn authorities(&self) -> u64 {
        self.0.now.load().authorities
    }

    /// Tells why a client's certificate is believed no more that was believed before.
    pub(crate) fn told(&self, why: fmt::Arguments<'_>) {
        if let Some(kept_back) = self.0.refused.may_say() {
            tracing::info!(
                reason = %why,
                keptBack = kept_back,
                "the certificate of a client that is connected is good no more; it is a client like any other"
            );
        }
    }

    /// And which authorities it asks.
    pub(crate) fn acceptor(&self) -> (TlsAcceptor, u64) {
        let now = self.0.now.load();
        (TlsAcceptor::from(now.config.clone()), now.authorities)
    }
}

/// What the files say.
struct Texts {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Texts {
    fn read(files: &Files) -> Result<Self, TlsError> {
        let certificates = |path: &PathBuf| {
            text(path).map_err(|error| TlsError::Certificate { path: path.clone(), source: pem::Error::Io(error) })
        };
        let key = text(&files.key);
        Ok(Self {
            certificate: certificates(&files.certificate)?,
            key: key.map_err(|error| TlsError::Key { path: files.key.clone(), source: pem::Error::Io(error) })?,
            client_ca: files.client_ca.as_ref().map(certificates).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for text in [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten() {
            context.update(&(text.len() as u64).to_le_bytes());
            context.update(text);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    fn usable(&self, files: &Files) -> Result<Usable, TlsError> {
        let Files { certificate, key, client_ca, without_too } = files;
        let chain = chain(&self.certificate, certificate)?;
        let not_after = chain.first().and_then(|own| expiry::not_after(own));
        let private_key =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|source| TlsError::Key { path: key.clone(), source })?;
        let builder = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("ring has suites for both versions");
        let judge = match (&self.client_ca, client_ca) {
            (Some(text), Some(path)) => Some(judge(text, path, *without_too)?),
            _ => None,
        };
        let builder = match judge.clone() {
            Some(judge) => builder.with_client_cert_verifier(judge),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, private_key).map_err(|source| TlsError::Mismatch {
            certificate: certificate.clone(),
            key: key.clone(),
            source,
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if client_ca.is_some() {
            // A session that is taken up again is not judged again, and a certificate may have ended meanwhile.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Usable { config: Arc::new(config), not_after, judge, authorities: 0 })
    }
}

fn text(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

fn chain(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Certificate { path: path.into(), source })?;
    match chain.is_empty() {
        true => Err(TlsError::NoCertificate { path: path.into() }),
        false => Ok(chain),
    }
}

/// Whether a PEM text holds certificates, and nothing that is like one and is none.
pub fn holds_certificates(text: &[u8]) -> bool {
    chain(text, Path::new("")).is_ok()
}

/// Who lets in clients whose certificates are of these.
fn judge(text: &[u8], path: &Path, without_too: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(chain(text, path)?);
    let ring = Arc::new(provider::default_provider());
    let judge = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), ring);
    let judge = if without_too { judge.allow_unauthenticated() } else { judge };
    judge.build().map_err(|source| TlsError::ClientCa { path: path.into(), source })
}

#[cfg(test)]
pub(crate) mod tests;
