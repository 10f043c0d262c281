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
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
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
    tls: TlsConnector,
}

impl JwksAddress {
    pub(super) fn new(uri: &Uri) -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { uri: uri.clone(), tls: TlsConnector::from(Arc::new(config)) }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let failed = |what: &str, error: &dyn std::fmt::Display| format!("cannot {what} `{}`: {error}", self.uri);
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let encrypted = self.uri.scheme_str() == Some("https");
        let port = self.uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await.map_err(|error| failed("reach", &error))?;
        if !encrypted {
            return self.ask(stream).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed("reach", &error))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| failed("trust", &error))?;
        self.ask(stream).await
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

impl KeySource for JwksAddress {
    fn load(&self) -> Loading<'_> {
        Box::pin(self.fetch())
    }
}
