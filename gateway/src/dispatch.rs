//! The seam between the gateway and whatever answers a request.
//!
//! The gateway knows services only through [`Dispatch`], so it is tested with a closure and
//! never links wasmtime. This file decides no policy: statuses are in `error`, deadlines in
//! `gateway`.

mod answered;
mod switched;

use std::{future::Future, pin::Pin, sync::Arc};

use http::{Request, Response};

pub use answered::AnsweredBy;
pub use switched::{Switched, Wire};

use crate::{body::Body, context::RequestContext};

/// The future a [`Dispatch`] answers with.
pub type Dispatched<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, DispatchError>> + Send + 'a>>;

/// Where a routed request goes: a component of this host, an admin page, a closure in a test.
pub trait Dispatch: Send + Sync + 'static {
    /// Runs one request as far as its response head; the body streams after that.
    ///
    /// The gateway drops the future once `cx.deadline` passes, so this must be cancel safe.
    /// An error of the returned body means the answer was cut short: the gateway then closes
    /// the connection or resets the stream, so that it never looks complete.
    ///
    /// The request's path is in normal form, `Host` is always there, and its headers are the
    /// ones a service may see. A panic is the implementor's to catch.
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_>;

    /// Whether it may be asked for another protocol on a connection (`Upgrade`). It agrees by a 101 with
    /// [`Switched`] in its extensions; who may not never sees the wish.
    fn may_switch(&self) -> bool {
        false
    }
}

/// A closure answers too: a page of the host's own, a test.
impl<F> Dispatch for F
where
    F: Fn(Arc<RequestContext>, Request<Body>) -> Dispatched<'static> + Send + Sync + 'static,
{
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        self(cx, request)
    }
}

/// When the answer's head must be there, where that is sooner than the deadline: a caller puts it
/// into the request's extensions. Later than that there is no answer; whether the implementor is to
/// blame depends on how long it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerBy(pub std::time::Instant);

/// Why a dispatch has no answer. `error` maps each to a status; the text is for the log and
/// never reaches a client.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// Nothing can serve it now: not started, a breaker is open, a dependency is down.
    #[error("service `{service}` is not available: {reason}")]
    Unavailable { service: Arc<str>, reason: String },

    /// Too many of its requests failed; for a moment it gets none. Asking again would not help.
    #[error("service `{service}` rests: too many of its requests failed")]
    Resting { service: Arc<str> },

    /// Its concurrency and its queue are full.
    #[error("service `{service}` is at its concurrency limit")]
    Overloaded { service: Arc<str> },

    /// The chain of calls that led here is as long as it may be.
    #[error("service `{service}` was not called: the chain of calls is too long")]
    TooManyHops { service: Arc<str> },

    /// It ran longer than its wall clock or CPU limit.
    #[error("service `{service}` did not answer in time: {reason}")]
    TimedOut { service: Arc<str>, reason: String },

    /// It trapped or panicked before its response head.
    #[error("service `{service}` trapped: {reason}")]
    Trapped { service: Arc<str>, reason: String },

    /// It could not answer this request: an error of its own that nothing caught. The next one may well be answered.
    #[error("service `{service}` raised an error: {reason}")]
    Raised { service: Arc<str>, reason: String },

    /// It returned without an answer, or with one that is no valid HTTP.
    #[error("service `{service}` gave no valid answer: {reason}")]
    InvalidAnswer { service: Arc<str>, reason: String },

    /// The request's own body broke while the service read it (too large, too slow, cut off).
    #[error(transparent)]
    RequestBody(#[from] crate::body::BodyError),
}
