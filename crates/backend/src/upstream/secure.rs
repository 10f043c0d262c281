//! TLS to a service elsewhere: whose certificate is believed, by which name, and what we show of our own.
//!
//! Files are read before the first connection, and looked at again for connections that are made later; what
//! cannot be used changes nothing, and the log says so once. A request goes over no connection that was made with
//! other files than those that are there now; those that are under way go on.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwapOption;
use gateway::tls::expiry::not_after;
use rustls::{
    ClientConfig, RootCertStore, client::ResolvesClientCert, crypto::ring, sign::CertifiedKey, sign::SingleCertAndKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio_rustls::TlsConnector;

use manifest::UpstreamTls;

/// How long what was read is used before the files are looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A chain, a key and roots are some kilobytes.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// How connections to one service are encrypted.
pub(super) struct Secure {
    base: Arc<ClientConfig>,
    settings: UpstreamTls,
    now: ArcSwapOption<Connectors>,
    looked: Mutex<Looked>,
    tending: AtomicBool,
}

/// What there is to connect with.
pub(super) struct Connectors {
    /// HTTP/2 or HTTP/1.1, as the server likes.
    pub(super) any: TlsConnector,
    /// HTTP/1.1 only.
    pub(super) first: TlsConnector,
    /// Counts what was read anew.
    pub(super) generation: u64,
    /// Until when our own certificate is good; none where there is none, or it does not say so in a way we read.
    not_after: Option<SystemTime>,
}

#[derive(Default)]
struct Looked {
    at: Option<Instant>,
    /// What is used, and what was found that cannot be.
    used: Option<Vec<Vec<u8>>>,
    odd: Option<Vec<Vec<u8>>>,
}

impl Secure {
    /// `base` is how everybody is spoken to: its roots hold where `settings` name none.
    pub(super) fn new(base: Arc<ClientConfig>, settings: UpstreamTls) -> Self {
        let has_files = settings.ca.is_some() || settings.own.is_some();
        let now = if has_files { None } else { Some(Arc::new(Connectors::of((*base).clone(), 0, None))) };
        Self {
            base,
            settings,
            now: ArcSwapOption::from(now),
            looked: Mutex::default(),
            tending: AtomicBool::new(false),
        }
    }

    /// The name that the certificate must have, if it is not that of the address.
    pub(super) fn name(&self) -> Option<ServerName<'static>> {
        let name = self.settings.name.clone()?;
        ServerName::try_from(name).ok()
    }

    /// What to connect with now. Cancel safe.
    ///
    /// # Errors
    /// The files cannot be used, and never could.
    pub(super) async fn connectors(self: &Arc<Self>) -> io::Result<Arc<Connectors>> {
        if self.is_due() {
            let this = self.clone();
            // A folder on another machine may hang.
            let looked = tokio::task::spawn_blocking(move || this.look()).await;
            looked.unwrap_or_else(|_broken| Err(io::Error::other("reading its certificate files broke off")))?;
        }
        self.now.load_full().ok_or_else(|| io::Error::other("its certificate files cannot be used"))
    }

    /// Connections of another one than this are not used again: they were made with other files.
    pub(super) fn generation(&self) -> u64 {
        self.now.load().as_ref().map_or(0, |now| now.generation)
    }

    /// Our own certificate and until when it is good; none before it was read.
    pub(super) fn own(&self) -> Option<(&Path, SystemTime)> {
        let own = self.settings.own.as_ref()?;
        Some((&own.certificate, self.now.load().as_ref()?.not_after?))
    }

    /// Looks at the files, and waits for nothing. Needs a tokio runtime.
    pub(super) fn tend(self: &Arc<Self>) {
        // A folder on another machine may hang: one thread waits for it.
        if self.is_due() && !self.tending.swap(true, Relaxed) {
            let this = self.clone();
            tokio::task::spawn_blocking(move || {
                // What cannot be used has been told, or is to whoever asks.
                drop(this.look());
                this.tending.store(false, Relaxed);
            });
        }
    }

    fn is_due(&self) -> bool {
        let has_files = self.settings.ca.is_some() || self.settings.own.is_some();
        has_files && self.looked().at.is_none_or(|at| at.elapsed() >= LOOK_EVERY)
    }

    fn look(&self) -> io::Result<()> {
        if self.now.load().is_some() {
            // Whoever comes meanwhile goes on with what there is.
            self.looked().at = Some(Instant::now());
        }
        let texts = self.texts();
        let mut looked = self.looked();
        looked.at = Some(Instant::now());
        if texts.is_ok() && texts.as_ref().ok() == looked.used.as_ref() {
            return Ok(());
        }
        let made = texts.as_ref().map_err(ToString::to_string).and_then(|texts| self.config(texts));
        let texts = texts.ok();
        match made {
            Ok(config) => {
                if looked.used.is_some() {
                    tracing::info!(file = %self.shown().display(), "a renewed certificate is shown to a service elsewhere");
                }
                let not_after = texts
                    .as_ref()
                    .and_then(|texts| certificates(texts.get(1)?).ok())
                    .and_then(|chain| not_after(chain.first()?));
                self.now.store(Some(Arc::new(Connectors::of(config, self.generation() + 1, not_after))));
                (looked.used, looked.odd) = (texts, None);
                Ok(())
            }
            Err(reason) if self.now.load().is_none() => Err(io::Error::other(reason)),
            Err(reason) => {
                if looked.odd.is_none() || looked.odd != texts {
                    tracing::warn!(file = %self.shown().display(), reason, "changed certificate files of a service elsewhere cannot be used; those from before are");
                    looked.odd = Some(texts.unwrap_or_default());
                }
                Ok(())
            }
        }
    }

    /// What they are called in the log.
    fn shown(&self) -> &Path {
        let own = self.settings.own.as_ref().map(|own| &own.certificate);
        own.or(self.settings.ca.as_ref()).map_or(Path::new(""), PathBuf::as_path)
    }

    /// The texts of roots, chain and key; empty where none is named.
    fn texts(&self) -> io::Result<Vec<Vec<u8>>> {
        let own = self.settings.own.as_ref();
        let files = [self.settings.ca.as_ref(), own.map(|own| &own.certificate), own.map(|own| &own.key)];
        files.into_iter().map(|file| file.map_or_else(|| Ok(Vec::new()), |file| text(file))).collect()
    }

    fn config(&self, texts: &[Vec<u8>]) -> Result<ClientConfig, String> {
        let [ca, chain, key] = texts else { return Err("files are missing".into()) };
        let mut config = match &self.settings.ca {
            None => (*self.base).clone(),
            Some(_) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates(ca)?);
                let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                    .with_safe_default_protocol_versions()
                    .expect("ring has what TLS 1.2 and 1.3 need")
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                config.alpn_protocols.clone_from(&self.base.alpn_protocols);
                config
            }
        };
        if self.settings.own.is_some() {
            config.client_auth_cert_resolver = shown(chain, key)?;
            // What was agreed on with another certificate is not taken up again.
            config.resumption = rustls::client::Resumption::disabled();
        }
        Ok(config)
    }

    fn looked(&self) -> std::sync::MutexGuard<'_, Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connectors {
    fn of(config: ClientConfig, generation: u64, not_after: Option<SystemTime>) -> Self {
        let mut first = config.clone();
        first.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            any: TlsConnector::from(Arc::new(config)),
            first: TlsConnector::from(Arc::new(first)),
            generation,
            not_after,
        }
    }
}

fn shown(chain: &[u8], key: &[u8]) -> Result<Arc<dyn ResolvesClientCert>, String> {
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key cannot be read: {error}"))?;
    let certified = CertifiedKey::from_der(certificates(chain)?, key, &ring::default_provider());
    let certified = certified.map_err(|error| format!("certificate and key do not work together: {error}"))?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match read {
        Ok(read) if !read.is_empty() => Ok(read),
        Ok(_) => Err("there is no certificate in it".into()),
        Err(error) => Err(format!("the certificates cannot be read: {error}")),
    }
}

fn text(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
}
