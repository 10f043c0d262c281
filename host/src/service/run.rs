//! A guest at work on one request.
//!
//! It runs inside the task of its request: whoever waits for the answer polls it, and dropping it
//! ends it. No task is spawned and no store is used again after a trap.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use gateway::{
    body::{Body, BodyError},
    dispatch::DispatchError,
};
use http::{Request, Response};
use http_body_util::BodyExt;
use wasmtime::PoolConcurrencyLimitError;
use wasmtime_wasi_http::{
    Error as WasiError, WasiBody, WasiHttpView,
    p2::bindings::http::types::{ErrorCode, Scheme},
};

use super::{ROOM_WAIT, Version};
use crate::instance::{Budget, Instance, Refusal, Scope, Stopped};

/// Why a guest gave no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no room for another instance: {0}")]
    NoRoom(String),
    #[error("{0}")]
    Stopped(#[from] Stopped),
    #[error("{0}")]
    Trapped(String),
    #[error("the host panicked while it ran: {0}")]
    Panicked(String),
    #[error("{0}")]
    NoAnswer(String),
    #[error("it ran past its deadline while it waited")]
    DeadlineExceeded,
}

impl Failure {
    /// Whether the component is to blame, for the breaker.
    pub(super) fn is_the_guests(&self) -> bool {
        !matches!(self, Self::NoRoom(_))
    }

    pub(super) fn into_dispatch_error(self, service: Arc<str>) -> DispatchError {
        let reason = self.to_string();
        match self {
            Self::NoRoom(_) => DispatchError::Overloaded { service },
            Self::Stopped(_) | Self::DeadlineExceeded => DispatchError::TimedOut { service, reason },
            Self::Trapped(_) | Self::Panicked(_) => DispatchError::Trapped { service, reason },
            Self::NoAnswer(_) => DispatchError::InvalidAnswer { service, reason },
        }
    }
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        match error.downcast_ref::<Stopped>() {
            Some(stopped) => Self::Stopped(*stopped),
            None => Self::Trapped(format!("{error:#}")),
        }
    }
}

/// Makes an instance of `version`; waits a little for room where there is none.
///
/// Cancel safe: a store that is half made is dropped.
pub(super) async fn instantiate(version: &Arc<Version>, scope: Scope) -> Result<Instance, Failure> {
    let until = scope.deadline.min(Instant::now() + ROOM_WAIT);
    loop {
        let freed = version.blueprint.engine.freed.notified();
        let no_room = match try_instantiate(version, scope).await {
            Err(Failure::NoRoom(reason)) => reason,
            decided => return decided,
        };
        if tokio::time::timeout_at(until.into(), freed).await.is_err() {
            return Err(Failure::NoRoom(no_room));
        }
    }
}

async fn try_instantiate(version: &Arc<Version>, scope: Scope) -> Result<Instance, Failure> {
    let mut seat = version.blueprint.store();
    let wall = crate::engine::Clock::ticks(scope.deadline.saturating_duration_since(Instant::now()));
    seat.budget.arm(crate::engine::Clock::ticks(scope.cpu), wall);
    seat.output.begin(scope.trace_id);
    let budget = seat.budget.clone();
    let made = Guarded::new(Box::pin(version.pre.instantiate_async(&mut seat.store)), budget).await?;
    match made {
        Ok(proxy) => Ok(seat.instance(proxy)),
        Err(error) if error.is::<PoolConcurrencyLimitError>() => Err(Failure::NoRoom(error.to_string())),
        Err(error) => match seat.refusal() {
            Some(refusal @ Refusal::Host) => Err(Failure::NoRoom(refusal.to_string())),
            Some(refusal @ Refusal::Instance) => Err(Failure::Trapped(refusal.to_string())),
            None => Err(error.into()),
        },
    }
}

type Working = Pin<Box<dyn Future<Output = (Instance, wasmtime::Result<()>)> + Send>>;

/// One call of `incoming-handler.handle`, and the head it has set so far.
pub(super) struct GuestRun {
    working: Guarded<Working>,
    head: Arc<HeadSlot>,
    pub(super) deadline: Instant,
}

type Head = Result<Response<WasiBody>, ErrorCode>;
type HeadSlot = Mutex<Option<Head>>;

impl GuestRun {
    /// Hands the request to the instance; the guest runs when this is polled.
    pub(super) fn start(mut instance: Instance, scope: Scope, request: Request<Body>) -> wasmtime::Result<Self> {
        instance.begin(&scope);
        let head = Arc::new(HeadSlot::default());
        let budget = instance.budget.clone();
        let scheme = scheme(&request);
        let request = request.map(|body| body.map_err(into_wasi));
        let mut http = instance.store.data_mut().http();
        let incoming = http.new_incoming_request(scheme, request)?;
        let slot = head.clone();
        let outparam = http.new_response_outparam_from_callback(move |head| {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
        })?;
        let working: Working = Box::pin(async move {
            let handler = instance.proxy.wasi_http_incoming_handler();
            let result = handler.call_handle(&mut instance.store, incoming, outparam).await;
            instance.end();
            (instance, result)
        });
        Ok(Self { working: Guarded::new(working, budget), head, deadline: scope.deadline })
    }

    /// Lets the guest run. Ready when it has returned: with its instance, in order, or with the
    /// reason why there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Instance, Failure>> {
        let (instance, result) = match Pin::new(&mut self.working).poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
            Poll::Ready(Ok(finished)) => finished,
        };
        Poll::Ready(match result {
            Ok(()) => Ok(instance),
            Err(error) => Err(explained(error, instance.refusal())),
        })
    }

    /// The head, once the guest has set it; `None` before that and after it was taken.
    pub(super) fn take_head(&mut self) -> Option<Result<Response<WasiBody>, Failure>> {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(head.map_err(|code| Failure::NoAnswer(format!("it answered with the error {code:?}"))))
    }
}

/// The connection's, as the gateway found it: the target of HTTP/1 has none, that of HTTP/2 is the
/// client's word.
fn scheme(request: &Request<Body>) -> Scheme {
    let encrypted = request.headers().get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    if encrypted { Scheme::Https } else { Scheme::Http }
}

/// A trap after memory was refused is most likely its consequence; the log says both.
fn explained(error: wasmtime::Error, refusal: Option<Refusal>) -> Failure {
    match (Failure::from(error), refusal) {
        (Failure::Trapped(trap), Some(refusal)) => Failure::Trapped(format!("{refusal}; then: {trap}")),
        (failure, _) => failure,
    }
}

fn into_wasi(error: BodyError) -> WasiError {
    match error {
        BodyError::TooLarge { limit } => WasiError::HttpRequestBodySize(Some(limit)),
        BodyError::TooSlow | BodyError::DeadlineExceeded => WasiError::ConnectionReadTimeout,
        BodyError::Cut(_) => WasiError::HttpRequestDenied,
    }
}

/// A future that runs guest code: billed to its budget, and its panics are failures.
struct Guarded<F> {
    /// `None` after it has finished or panicked.
    future: Option<F>,
    budget: Arc<Budget>,
}

impl<F> Guarded<F> {
    fn new(future: F, budget: Arc<Budget>) -> Self {
        Self { future: Some(future), budget }
    }
}

impl<F: Future + Unpin> Future for Guarded<F> {
    type Output = Result<F::Output, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut future) = self.future.take() else {
            return Poll::Ready(Err(Failure::NoAnswer("it was asked again after its end".into())));
        };
        self.budget.resume();
        let polled = catch_unwind(AssertUnwindSafe(|| match Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => {
                drop(future);
                (None, Poll::Ready(output))
            }
            Poll::Pending => (Some(future), Poll::Pending),
        }));
        self.budget.pause();
        match polled {
            Ok((future, poll)) => {
                self.future = future;
                poll.map(Ok)
            }
            Err(panic) => Poll::Ready(Err(Failure::Panicked(panic_text(panic.as_ref())))),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
