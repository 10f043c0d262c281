//! From failures to HTTP: status, what a client may read, and how loud the log is. Nowhere else.
//!
//! A title never holds a cause, a name from inside or anything a client sent; the whole chain
//! goes to the log under the trace id.

mod envelope;

use std::{borrow::Cow, error::Error, fmt};

use http::{HeaderValue, Response, StatusCode, header};
use tracing::{Level, debug, warn};

pub use envelope::envelope;
pub(crate) use envelope::success;

use crate::{
    auth::TokenError,
    authority::AuthorityError,
    body::{self, Body, BodyError},
    context::TraceContext,
    counts::Refusal,
    dispatch::DispatchError,
    path::PathError,
    router::NoMatch,
    trust::TrustError,
};

/// Seconds after which a refused client may try again; the overload of a moment is over by then.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Tells a client that the token it has is of no use (RFC 6750 3.1); without one, the bare scheme
/// tells it to get one.
const INVALID_TOKEN: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

/// Why a request has no answer of a service.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("the gateway is at its limit of requests in flight")]
    Overloaded,

    #[error(transparent)]
    Path(#[from] PathError),

    #[error(transparent)]
    Authority(#[from] AuthorityError),

    #[error("`{host}` is none of the gateway's own hosts")]
    Misdirected { host: String },

    #[error("too many requests; the next may come in {seconds} s")]
    RateLimited { seconds: u32 },

    #[error(transparent)]
    Token(#[from] TokenError),

    #[error(transparent)]
    Untrusted(#[from] TrustError),

    #[error("pages of this origin may not open a connection: it is another host's, and `cors` does not admit it")]
    Origin,

    #[error("no route has this host and path")]
    NoRoute,

    #[error("no route with this path takes the method")]
    MethodNotAllowed { allow: HeaderValue },

    #[error("the request's body failed")]
    RequestBody(#[source] BodyError),

    #[error("the deadline passed before the answer's head")]
    DeadlineExceeded,

    #[error("the service's answer is no valid HTTP: {0}")]
    InvalidAnswer(Cow<'static, str>),

    #[error(transparent)]
    Dispatch(DispatchError),
}

impl GatewayError {
    /// The one table from failures to HTTP: a new variant does not compile until it has a row
    /// here. Refusals under load are logged quietly, or an overload would also flood the log.
    fn row(&self) -> (StatusCode, Level, Cow<'static, str>) {
        use DispatchError as D;
        let (status, level, title) = match self {
            Self::Overloaded => {
                (StatusCode::SERVICE_UNAVAILABLE, Level::DEBUG, "The gateway is overloaded; try again shortly")
            }
            Self::Path(error) => (StatusCode::BAD_REQUEST, Level::DEBUG, path_title(error)),
            Self::Authority(_) => {
                (StatusCode::BAD_REQUEST, Level::DEBUG, "The request needs one valid Host header equal to its target")
            }
            Self::Misdirected { .. } => {
                (StatusCode::MISDIRECTED_REQUEST, Level::DEBUG, "This gateway does not serve the requested host")
            }
            Self::RateLimited { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, Level::DEBUG, "Too many requests; Retry-After says when to try again")
            }
            Self::Token(TokenError::Missing | TokenError::OtherScheme) => (
                StatusCode::UNAUTHORIZED,
                Level::DEBUG,
                "A bearer token is required; send Authorization: Bearer <token>",
            ),
            Self::Token(TokenError::Refused(_)) => {
                (StatusCode::UNAUTHORIZED, Level::DEBUG, "The token is not valid or has expired; log in again")
            }
            Self::Token(TokenError::NoKeys(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, Level::WARN, "Tokens cannot be verified now; try again shortly")
            }
            Self::Untrusted(TrustError::Token(TokenError::NoKeys(_))) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Level::WARN,
                "Other hosts cannot be told apart now; try again shortly",
            ),
            Self::Untrusted(TrustError::NotFor { .. }) => {
                (StatusCode::FORBIDDEN, Level::DEBUG, "This host may not speak to the service in the name of others")
            }
            Self::Untrusted(_) => (StatusCode::UNAUTHORIZED, Level::DEBUG, "The word of another host is not believed"),
            Self::Origin => {
                (StatusCode::FORBIDDEN, Level::DEBUG, "Pages of this origin may not open a connection here")
            }
            Self::NoRoute => (StatusCode::NOT_FOUND, Level::DEBUG, "No route has this path"),
            Self::MethodNotAllowed { .. } => (
                StatusCode::METHOD_NOT_ALLOWED,
                Level::DEBUG,
                "This path does not take this method; the Allow header lists those it takes",
            ),
            Self::RequestBody(error) | Self::Dispatch(D::RequestBody(error)) => {
                return body_row(error);
            }
            Self::DeadlineExceeded | Self::Dispatch(D::TimedOut { .. }) => {
                (StatusCode::GATEWAY_TIMEOUT, Level::WARN, "The service did not answer in time")
            }
            Self::Dispatch(D::Unavailable { .. } | D::Resting { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, Level::DEBUG, "The service is not available; try again shortly")
            }
            Self::Dispatch(D::Overloaded { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, Level::DEBUG, "The service is overloaded; try again shortly")
            }
            Self::Dispatch(D::TooManyHops { .. }) => {
                (StatusCode::LOOP_DETECTED, Level::WARN, "The chain of calls between services is too long")
            }
            Self::Dispatch(D::Raised { .. }) => {
                (StatusCode::INTERNAL_SERVER_ERROR, Level::WARN, "The service failed while it handled the request")
            }
            Self::Dispatch(D::Trapped { .. }) => {
                (StatusCode::BAD_GATEWAY, Level::WARN, "The service failed while it handled the request")
            }
            Self::InvalidAnswer(_) | Self::Dispatch(D::InvalidAnswer { .. }) => {
                (StatusCode::BAD_GATEWAY, Level::WARN, "The service gave no valid answer")
            }
        };
        (status, level, title.into())
    }

    pub fn status(&self) -> StatusCode {
        self.row().0
    }

    /// What a client may see: a sentence its developer can act on.
    pub fn title(&self) -> Cow<'static, str> {
        self.row().2
    }

    /// A client's mistake is not our alarm.
    pub fn level(&self) -> Level {
        self.row().1
    }

    /// Whether the same request may have another answer in a moment, and nothing was done yet or
    /// may be done again: 502 and 503, but neither a timeout nor a service that rests.
    pub(crate) fn is_passing(&self) -> bool {
        use DispatchError as D;
        matches!(
            self,
            Self::InvalidAnswer(_)
                | Self::Dispatch(
                    D::Unavailable { .. } | D::Overloaded { .. } | D::Trapped { .. } | D::InvalidAnswer { .. }
                )
        )
    }

    /// What it is counted as; none for what is no refusal at the entrance. A new variant does not compile
    /// until it is said here.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Overloaded => Some(Refusal::Overloaded),
            Self::RateLimited { .. } => Some(Refusal::RateLimit),
            Self::Token(TokenError::NoKeys(_)) => Some(Refusal::NoKeys),
            Self::Token(TokenError::Missing | TokenError::OtherScheme | TokenError::Refused(_)) => {
                Some(Refusal::Authentication)
            }
            Self::Untrusted(TrustError::Token(TokenError::NoKeys(_))) => Some(Refusal::NoKeys),
            Self::Untrusted(_) => Some(Refusal::Trust),
            Self::Origin => Some(Refusal::Origin),
            Self::NoRoute => Some(Refusal::NoRoute),
            Self::MethodNotAllowed { .. } => Some(Refusal::Method),
            Self::Misdirected { .. } => Some(Refusal::Host),
            Self::Path(_) | Self::Authority(_) => Some(Refusal::Malformed),
            Self::RequestBody(_) | Self::DeadlineExceeded | Self::InvalidAnswer(_) | Self::Dispatch(_) => None,
        }
    }

    /// Logs the whole chain and gives the client's answer.
    pub(crate) fn answer(&self, trace: &TraceContext) -> Response<Body> {
        let (status, level, title) = self.row();
        let status_code = status.as_u16();
        if level == Level::WARN {
            warn!(traceId = %trace, status = status_code, error = %Chain(self), "a request failed");
        } else {
            debug!(traceId = %trace, status = status_code, error = %Chain(self), "a request was refused");
        }
        let mut response = refusal(status, &title, trace).map(body::full);
        let headers = response.headers_mut();
        match self {
            Self::MethodNotAllowed { allow } => _ = headers.insert(header::ALLOW, allow.clone()),
            Self::Token(TokenError::Refused(_)) => _ = headers.insert(header::WWW_AUTHENTICATE, INVALID_TOKEN),
            Self::RateLimited { seconds } => _ = headers.insert(header::RETRY_AFTER, (*seconds).into()),
            _ => {}
        }
        response
    }
}

/// A bare answer in the envelope, with the headers that its status demands.
pub(crate) fn refusal(status: StatusCode, title: &str, trace: &TraceContext) -> Response<bytes::Bytes> {
    let mut response = Response::new(envelope(title, trace));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn body_row(error: &BodyError) -> (StatusCode, Level, Cow<'static, str>) {
    let (status, title) = match error {
        BodyError::TooLarge { limit } => {
            let title = format!("The request body is over the limit of {limit} bytes");
            return (StatusCode::PAYLOAD_TOO_LARGE, Level::DEBUG, title.into());
        }
        BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "The request body came too slowly"),
        BodyError::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "The service did not answer in time"),
        BodyError::Cut(_) => (StatusCode::BAD_REQUEST, "The request body ended before its end"),
    };
    let level = if status.is_server_error() { Level::WARN } else { Level::DEBUG };
    (status, level, title.into())
}

fn path_title(error: &PathError) -> &'static str {
    match error {
        PathError::NotAPath => "The request target must be a path",
        PathError::DotSegment => "The path must not have `.` or `..` segments",
        PathError::EmptySegment => "The path must not have empty segments",
        PathError::Hidden => "The path must not have encoded separators or control characters",
        PathError::Character | PathError::Percent | PathError::NotUtf8 => {
            "The path must be percent-encoded UTF-8, without backslashes and semicolons"
        }
        PathError::Query => "The query must be percent-encoded",
    }
}

impl From<NoMatch> for GatewayError {
    fn from(none: NoMatch) -> Self {
        match none {
            NoMatch::Path => Self::NoRoute,
            NoMatch::Method { allow } => Self::MethodNotAllowed { allow },
        }
    }
}

impl From<DispatchError> for GatewayError {
    fn from(error: DispatchError) -> Self {
        Self::Dispatch(error)
    }
}

impl From<BodyError> for GatewayError {
    fn from(error: BodyError) -> Self {
        Self::RequestBody(error)
    }
}

/// An error and its causes on one line.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(source) = cause {
            write!(f, ": {source}")?;
            cause = source.source();
        }
        Ok(())
    }
}
