//! Requests to registries: over TLS but where that is said otherwise, with an end, and redirected no further than is
//! sane. What is shown to one host is not shown to another.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

/// A question with a short answer.
const ASK_MAX: Duration = Duration::from_secs(30);
const CONNECT_MAX: Duration = Duration::from_secs(10);
const REDIRECTS_MAX: usize = 5;

pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Registries without TLS.
    plain: BTreeSet<String>,
}

/// One request.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) accept: Option<HeaderValue>,
    pub(super) authorization: Option<HeaderValue>,
    /// The type of `body`.
    pub(super) content: &'static str,
    pub(super) body: Bytes,
    /// Until the last byte of the answer.
    time: Duration,
}

/// What came back, as far as its head.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Who gave it: places that it names are relative to this.
    from: Uri,
    response: Response<Incoming>,
    until: Instant,
}

impl Ask {
    pub(super) fn new(method: Method, uri: Uri) -> Self {
        let (accept, authorization, content, body) = (None, None, "", Bytes::new());
        Self { method, uri, accept, authorization, content, body, time: ASK_MAX }
    }

    pub(super) fn get(uri: Uri) -> Self {
        Self::new(Method::GET, uri)
    }

    pub(super) fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    fn request(&self, uri: &Uri, authorization: Option<&HeaderValue>) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder().method(&self.method).uri(uri);
        let agent = HeaderValue::from_static(concat!("archipel/", env!("CARGO_PKG_VERSION")));
        let content = (!self.content.is_empty()).then(|| HeaderValue::from_static(self.content));
        let named = [
            (header::ACCEPT, self.accept.as_ref()),
            (header::AUTHORIZATION, authorization),
            (header::CONTENT_TYPE, content.as_ref()),
            (header::USER_AGENT, Some(&agent)),
        ];
        for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone())).map_err(|error| error.to_string())
    }
}

impl Transport {
    pub(super) fn new(tls: Arc<ClientConfig>, plain: BTreeSet<String>) -> Self {
        let mut tls = (*tls).clone();
        tls.alpn_protocols.clear(); // one request at a time needs no HTTP/2
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_MAX));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        Self { client: Client::builder(TokioExecutor::new()).build(connector.wrap_connector(tcp)), plain }
    }

    /// `http` for this machine's own registries, and those that are named.
    pub(super) fn scheme(&self, registry: &str) -> &'static str {
        let host = registry.rsplit_once(':').map_or(registry, |(host, _port)| host);
        let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if is_here || self.plain.contains(registry) { "http" } else { "https" }
    }

    /// Sends it, and follows a redirect of what only asks. Cancel safe.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Answer, String> {
        let until = Instant::now() + ask.time;
        let (mut uri, mut authorization) = (ask.uri.clone(), ask.authorization.as_ref());
        for _ in 0..=REDIRECTS_MAX {
            let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
            if uri.scheme_str() != Some("https") && self.scheme(&authority) != "http" {
                return Err(format!(
                    "`{authority}` would be asked without TLS; if it has none, name it in `host.plain_registries`"
                ));
            }
            let sent = timeout_at(until, self.client.request(ask.request(&uri, authorization)?)).await;
            let response = sent.map_err(|_elapsed| "it did not answer in time".to_owned())?;
            let response = response.map_err(|error| told(&error))?;
            let answer = Answer { status: response.status(), from: uri.clone(), response, until };
            let is_redirect = answer.status.is_redirection() && ask.method == Method::GET;
            let Some(next) = answer.location().filter(|_| is_redirect) else { return Ok(answer) };
            if next.authority() != uri.authority() {
                authorization = None;
            }
            uri = next;
        }
        Err(format!("it redirects more than {REDIRECTS_MAX} times"))
    }
}

impl Answer {
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Where it says to go on.
    pub(super) fn location(&self) -> Option<Uri> {
        let location: Uri = self.header(header::LOCATION)?.parse().ok()?;
        if location.authority().is_some() {
            return Some(location);
        }
        let mut parts = location.into_parts();
        (parts.scheme, parts.authority) = (self.from.scheme().cloned(), self.from.authority().cloned());
        Uri::from_parts(parts).ok()
    }

    /// Its body; none: it is longer than `bytes_max`.
    ///
    /// # Errors
    /// Why it broke off.
    pub(super) async fn whole(self, bytes_max: usize) -> Result<Option<Bytes>, String> {
        let body = Limited::new(self.response.into_body(), bytes_max).collect();
        match timeout_at(self.until, body).await {
            Err(_elapsed) => Err("it did not come in time".to_owned()),
            Ok(Ok(body)) => Ok(Some(body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Ok(None),
            Ok(Err(error)) => Err(format!("it broke off: {error}")),
        }
    }
}

/// The innermost cause says it.
fn told(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
