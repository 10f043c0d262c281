//! HTTP to the outside on behalf of services: one [`Client`] for each, so that no connection is
//! ever used under another service's grant.
//!
//! Decides timeouts, the size of an answer's head and how many connections wait idle. Where a
//! connection may go is the grant's word, asked when it is made (`http/connector`); redirects are
//! the guest's next request.

mod connector;
mod error;
mod resolve;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use gateway::{body::Body, headers};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout_at,
};

use crate::roots::{Roots, RootsError};
use grant::{
    Grants,
    net::{Destination, Place},
    sockets::Lookup,
};
use manifest::Environment;

use connector::{CONNECT_TIMEOUT, CONNECT_TIMEOUT_MAX, Connector};
pub use error::SendError;
pub use resolve::Resolver;

/// The longest that a look-up for a socket may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_PER_HOST_MAX: usize = 16;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const HEAD_MAX_BYTES: u32 = 64 << 10;
const HEAD_FIELDS_MAX: usize = 100;
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Answers like `103 Early Hints` before the one that counts.
const INFORMATIONAL_MAX: u32 = 16;
/// Requests of one service that are under way at once; each may hold a connection.
const IN_FLIGHT_MAX: usize = 256;

/// What all clients share: how names are resolved and whose certificates are believed.
#[derive(Clone)]
pub struct Outbound {
    resolver: Resolver,
    tls: Arc<ClientConfig>,
}

/// One service's look-ups of names, for sockets.
#[derive(Clone)]
pub struct Lookups(Resolver);

impl Lookups {
    /// The addresses of a name; an address is its own. Cancel safe.
    ///
    /// # Errors
    /// When there is no such name, or nobody who knows.
    pub async fn addresses(&self, of: &grant::Granted<Lookup>) -> std::io::Result<Vec<IpAddr>> {
        match of.get().place() {
            Place::Address(address) => Ok(vec![*address]),
            Place::Name(name) => {
                let found = tokio::time::timeout(LOOKUP_TIMEOUT, self.0.addresses(name)).await;
                found.unwrap_or_else(|_elapsed| Err(std::io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

/// One service's way out.
#[derive(Clone)]
pub struct Client {
    pooled: legacy::Client<Connector, Body>,
    in_flight: Arc<Semaphore>,
}

/// How long a request may take; everything is bounded by `deadline`.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    pub connect: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub deadline: Instant,
}

impl Outbound {
    /// Believes the web's authorities, and those in the file that `SSL_CERT_FILE` names.
    ///
    /// # Errors
    /// When the file cannot be read or holds none.
    pub fn of(environment: &Environment) -> Result<Self, RootsError> {
        Self::new(environment.get("SSL_CERT_FILE").filter(|named| !named.is_empty()).map(std::path::Path::new))
    }

    /// `roots`: a PEM file of certificates to believe besides the web's, read again when it changes.
    ///
    /// # Errors
    /// When the file cannot be read or holds none.
    pub fn new(roots: Option<&std::path::Path>) -> Result<Self, RootsError> {
        Ok(Self::with(Resolver::system(), Roots::web(roots, "SSL_CERT_FILE")?))
    }

    fn with(resolver: Resolver, roots: Roots) -> Self {
        let mut tls = roots.client_config().expect("ring has what TLS 1.2 and 1.3 need");
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { resolver, tls: Arc::new(tls) }
    }

    /// How names are resolved.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Whose certificates are believed.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        self.tls.clone()
    }

    /// One service's look-ups of names.
    pub fn lookups(&self) -> Lookups {
        Lookups(self.resolver.apart())
    }

    /// The client of the service whose grants these are.
    pub fn client(&self, grants: Arc<Grants>) -> Client {
        let connector = Connector::new(grants, self.resolver.apart(), self.tls.clone());
        let pooled = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_max_buf_size(HEAD_MAX_BYTES as usize)
            .http1_max_headers(HEAD_FIELDS_MAX)
            .http2_max_header_list_size(HEAD_MAX_BYTES)
            // What the host keeps of answers that no guest reads.
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_send_buf_size(STREAM_WINDOW_BYTES as usize)
            // All requests to a host share its connection: a dead one must be found out.
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .build(connector);
        Client { pooled, in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)) }
    }
}

impl Client {
    /// Sends a request as far as the head of its answer; the body streams after that and holds a
    /// place among the requests under way. Cancel safe: dropping it closes or frees the connection.
    ///
    /// # Errors
    /// [`SendError`]; a request that cannot be repeated was sent at most once.
    pub async fn send(
        &self,
        to: &grant::Granted<Destination>,
        mut request: Request<Body>,
        timeouts: Timeouts,
    ) -> Result<Response<Body>, SendError> {
        let permit = self.in_flight.clone().try_acquire_owned().map_err(|_full| SendError::TooMany)?;
        let target = to.get().target();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let uri = Uri::builder().scheme(target.scheme.to_string().as_str()).authority(target.authority());
        *request.uri_mut() = uri.path_and_query(path).build().map_err(|_invalid| SendError::Protocol)?;
        let host = HeaderValue::try_from(target.authority()).map_err(|_invalid| SendError::Protocol)?;
        request.headers_mut().insert(header::HOST, host);
        let connect = timeouts.connect.map_or(CONNECT_TIMEOUT_MAX, |asked| asked.min(CONNECT_TIMEOUT_MAX));
        let first_byte = timeouts.first_byte.map(|asked| Instant::now() + asked);
        let until = first_byte.map_or(timeouts.deadline, |by| by.min(timeouts.deadline));
        let flooded = flooded(&mut request);
        let request = request.map(|body| Body::new(body.map_frame(without_our_words)));
        let sending = CONNECT_TIMEOUT.scope(connect, self.pooled.request(request));
        let response = tokio::select! {
            sent = timeout_at(until.into(), sending) => match sent {
                Err(_elapsed) => return Err(SendError::ResponseTimeout),
                Ok(sent) => sent.map_err(|error| SendError::of(&error))?,
            },
            () = flooded.notified() => return Err(SendError::Protocol),
        };
        if response.headers().len() > HEAD_FIELDS_MAX {
            return Err(SendError::HeadTooLarge);
        }
        Ok(response.map(|body| {
            let body = body.map_frame(move |frame| {
                let _held = &permit; // until the last byte
                without_our_words(frame)
            });
            Body::new(body.map_err(gateway::body::BodyError::from))
        }))
    }
}

/// Told when a server sends informational answers without end: they cost time and nobody's bound.
fn flooded(request: &mut Request<Body>) -> Arc<Notify> {
    let told = Arc::new(Notify::new());
    let (seen, flood) = (AtomicU32::new(0), told.clone());
    hyper::ext::on_informational(request, move |_informational| {
        if seen.fetch_add(1, Relaxed) == INFORMATIONAL_MAX {
            flood.notify_one();
        }
    });
    told
}

/// Trailers may not say what heads may not, in either direction.
fn without_our_words(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        headers::clean_trailers(trailers);
    }
    frame
}

#[cfg(test)]
mod tests;
