//! Key sets of others: a file, or an address.
//!
//! An address is asked over one connection that is closed after the answer; redirects are not
//! followed, and an answer is read no further than a key set may be long.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use gateway::auth::{
    KeySet, KeySource, Loading,
    jwks::{self, JWKS_BYTES_MAX, Secrets},
};
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// A file, read anew each time.
pub(super) struct JwksFile(PathBuf);

impl JwksFile {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl KeySource for JwksFile {
    fn load(&self) -> Loading<'_> {
        let path = self.0.clone();
        Box::pin(async move {
            let reading = tokio::task::spawn_blocking(move || {
                let mut document = Vec::new();
                let file = File::open(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
                file.take(JWKS_BYTES_MAX as u64 + 1)
                    .read_to_end(&mut document)
                    .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
                jwks::parse(&document, Secrets::Ignore)
                    .map_err(|error| format!("`{}` is no key set: {error}", path.display()))
            });
            reading.await.unwrap_or_else(|_broken| Err("reading them broke off".into()))
        })
    }
}

/// An address, `https://`, or `http://` on this machine.
pub(super) struct JwksAddress {
    uri: Uri,
    /// Whose certificate it must have, if not one that the web's roots vouch for.
    ca: Option<PathBuf>,
}

/// More than any bundle of authorities has.
const CA_BYTES_MAX: u64 = 1 << 20;

impl JwksAddress {
    pub(super) fn new(uri: &Uri, ca: Option<&Path>) -> Self {
        Self { uri: uri.clone(), ca: ca.map(Path::to_owned) }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let failed = |what: &str, error: &dyn std::fmt::Display| format!("cannot {what} `{}`: {error}", self.uri);
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let encrypted = self.uri.scheme_str() == Some("https");
        let port = self.uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let tls = if encrypted { Some(self.tls().await?) } else { None };
        let stream = TcpStream::connect((host, port)).await.map_err(|error| failed("reach", &error))?;
        let Some(tls) = tls else { return self.ask(stream).await };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed("reach", &error))?;
        let stream = tls.connect(name, stream).await.map_err(|error| failed("trust", &error))?;
        self.ask(stream).await
    }

    /// Its authority is read anew each time, so that a renewed one counts.
    async fn tls(&self) -> Result<TlsConnector, String> {
        let roots = match self.ca.clone() {
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
            Some(path) => tokio::task::spawn_blocking(move || authority(&path))
                .await
                .unwrap_or_else(|_broken| Err("reading its `ca` broke off".into()))?,
        };
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<KeySet, String> {
        let failed = |error: &dyn std::fmt::Display| format!("`{}` gave no key set: {error}", self.uri);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        let exchange = async {
            let path = self.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            let authority = self.uri.authority().map_or("", http::uri::Authority::as_str);
            let request = Request::get(path)
                .header(header::HOST, authority)
                .header(header::ACCEPT, "application/jwk-set+json, application/json")
                .header(header::CONNECTION, "close")
                .body(Empty::<Bytes>::new())
                .map_err(|error| failed(&error))?;
            let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
            if answer.status() != StatusCode::OK {
                return Err(failed(&format!("it answered {}", answer.status())));
            }
            let body = Limited::new(answer.into_body(), JWKS_BYTES_MAX);
            let body = body.collect().await.map_err(|error| failed(&error))?.to_bytes();
            jwks::parse(&body, Secrets::Ignore).map_err(|error| failed(&error))
        };
        // The connection lives as long as the exchange, in the same task. It may end first: what it
        // has read until then is still there to be taken.
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            _ended = connection => exchange.await,
        }
    }
}

fn authority(path: &Path) -> Result<RootCertStore, String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot read certificates from `{}`: {error}", path.display());
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(CA_BYTES_MAX).read_to_end(&mut text).map_err(|error| failed(&error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates.map_err(|error| failed(&error))?) {
        (0, _) => Err(failed(&"it holds none")),
        _ => Ok(roots),
    }
}

impl KeySource for JwksAddress {
    fn load(&self) -> Loading<'_> {
        Box::pin(self.fetch())
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::PrivateKeyDer;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// The public key of RFC 8037, appendix A.2.
    const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    /// Key sets over TLS at an address of `localhost`.
    async fn served(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Uri {
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                // A client that does not trust us breaks off.
                let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
                let mut head = [0; 1024];
                let _ = tls.read(&mut head).await;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{KEYS}", KEYS.len());
                let _ = tls.write_all(answer.as_bytes()).await;
                let _ = tls.shutdown().await;
            }
        });
        format!("https://localhost:{port}/jwks").parse().unwrap()
    }

    #[tokio::test]
    async fn a_private_authority_is_believed_where_it_is_named_and_read_anew_each_time() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let uri = served(&made).await;
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        let address = JwksAddress::new(&uri, Some(&ca));
        let wrong = |fetched: Result<KeySet, String>, says: &str| {
            let error = fetched.expect_err("it is not believed");
            assert!(error.contains(says), "{error}");
        };
        wrong(address.fetch().await, "ca.pem");
        std::fs::write(&ca, other.cert.pem()).unwrap();
        wrong(address.fetch().await, "cannot trust");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        address.fetch().await.unwrap();
        wrong(JwksAddress::new(&uri, None).fetch().await, "cannot trust");
    }
}
