//! One address of a service elsewhere: its connections, how many requests are in it, how it is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::{body::Body, dispatch::Switched, headers};
use http::{
    HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{HOST, UPGRADE},
};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::{
    answer::Answer,
    dial::Dialler,
    error::UpstreamError,
    load::{InFlight, Load},
    pool::{Lent, NoConnection, Pool},
    standing::Standing,
};
use grant::net::Target;
use manifest::PoolSettings;

pub(super) struct Endpoint {
    target: Target,
    /// For messages: `http://10.0.0.7:4000`.
    pub(super) address: String,
    host: HeaderValue,
    pub(super) pool: Arc<Pool>,
    in_flight: InFlight,
    pub(super) standing: Arc<Standing>,
}

/// When what must be there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// How long a connection that comes free is waited for.
    pub(super) wait: Duration,
    /// The answer's head.
    pub(super) by: Instant,
}

/// Why there is no answer, and what can still be sent.
pub(super) struct Unanswered {
    pub(super) error: UpstreamError,
    /// The request, where nothing of it was sent.
    pub(super) unsent: Option<Box<Request<Body>>>,
    /// It went over a connection that had waited: its server may have closed that just then.
    pub(super) is_stale: bool,
}

impl Endpoint {
    pub(super) fn new(service: Arc<str>, target: Target, dialler: Dialler, pool: PoolSettings) -> Self {
        let authority = target.authority();
        let address = format!("{}://{authority}", target.scheme);
        Self {
            standing: Arc::new(Standing::new(service, address.clone())),
            address,
            host: HeaderValue::try_from(authority).expect("a checked address is visible ASCII"),
            target,
            pool: Arc::new(Pool::new(dialler, pool)),
            in_flight: InFlight::default(),
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn load(&self) -> usize {
        self.in_flight.count()
    }

    /// Sends a request as far as the head of its answer. Cancel safe: dropping it ends the exchange.
    pub(super) async fn send(&self, mut request: Request<Body>, times: Times) -> Result<Response<Answer>, Unanswered> {
        let load = self.in_flight.enter();
        // The gateway lets this field pass only where another protocol is wished for.
        let is_wish = request.headers().contains_key(UPGRADE);
        loop {
            let wait = (Instant::now() + times.wait).min(times.by);
            let lent = match is_wish {
                true => self.pool.lend_single(&self.target, wait, times.by).await,
                false => self.pool.lend(&self.target, wait, times.by).await,
            };
            let mut lent = match lent {
                Ok(lent) => lent,
                Err(none) => {
                    let unsent = Some(Box::new(request));
                    return Err(Unanswered { error: self.none(none), unsent, is_stale: false });
                }
            };
            self.address(&mut request, lent.is_h2());
            let error = match lent.send(request).await {
                Ok(response) if is_wish && response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return self.switched(response, lent, load).await;
                }
                Ok(response) => return Ok(Answer::of(response, self.pool.clone(), lent, load)),
                Err(error) => error,
            };
            let (unsent, error) = self.unsent(error);
            match unsent {
                // Its server had given it up: the next may be there, and in the end a new one.
                Some(again) if lent.is_used() => request = *again,
                unsent => return Err(Unanswered { error, unsent, is_stale: lent.is_used() }),
            }
        }
    }

    /// The connection itself, behind the 101.
    async fn switched(
        &self,
        mut response: Response<Incoming>,
        lent: Lent,
        load: Load,
    ) -> Result<Response<Answer>, Unanswered> {
        let wire = hyper::upgrade::on(&mut response).await.map_err(|error| Unanswered {
            error: UpstreamError::of(&self.address, &error),
            unsent: None,
            is_stale: false,
        })?;
        response.extensions_mut().insert(Switched::new(TokioIo::new(wire)).keeping((lent, load)));
        Ok(Answer::none(response, self.pool.clone()))
    }

    fn unsent(
        &self,
        mut error: hyper::client::conn::TrySendError<Request<Body>>,
    ) -> (Option<Box<Request<Body>>>, UpstreamError) {
        let unsent = error.take_message().map(Box::new);
        (unsent, UpstreamError::of(&self.address, error.error()))
    }

    fn none(&self, none: NoConnection) -> UpstreamError {
        match none {
            NoConnection::Full => UpstreamError::Full { address: self.address.clone() },
            NoConnection::Failed(error) => UpstreamError::of_connect(&self.address, &error),
        }
    }

    /// Whom it is for, as its protocol says that.
    fn address(&self, request: &mut Request<Body>, is_h2: bool) {
        headers::elsewhere(request.headers_mut(), self.host.clone());
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if !is_h2 {
            *request.version_mut() = Version::HTTP_11;
            return;
        }
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().remove(HOST);
        let uri = Uri::builder().scheme(self.target.scheme.to_string().as_str()).authority(self.target.authority());
        *request.uri_mut() = uri.path_and_query(path).build().expect("a checked address and a path are a URI");
    }
}
