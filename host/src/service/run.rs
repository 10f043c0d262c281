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
    body::Body,
    context::RequestContext,
    dispatch::{AnswerBy, DispatchError},
};
use http::{Request, Response};
use wasmtime::{PoolConcurrencyLimitError, Store};
use wasmtime_wasi_http::{
    WasiBody, WasiHttpView,
    p2::bindings::{
        Proxy,
        http::types::{ErrorCode, Scheme},
    },
};

use super::{
    ROOM_WAIT, Version,
    leave::Limits,
    upload::{Upload, Watched},
};
use crate::{
    capability::{http::HeadDue, messaging::Consumer},
    instance::{Budget, Instance, InstanceState, Refusal, Scope, Stopped},
    telemetry::counts::Trouble,
};

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
    #[error("its build was replaced, and its time to end, `host.drain`, is over")]
    Left,
    #[error("{0}; its client was slow or went away")]
    Downstream(Box<Failure>),
    #[error("{0}; it had too little time to be blamed")]
    Hurried(Box<Failure>),
}

impl Failure {
    /// Whether the component is to blame, for the breaker.
    pub(super) fn is_the_guests(&self) -> bool {
        !matches!(self, Self::NoRoom(_) | Self::Left | Self::Downstream(_) | Self::Hurried(_))
    }

    /// Being late before `fair_by` is not the component's fault: otherwise a caller in a hurry could
    /// have its callee put to rest for everybody.
    pub(super) fn unless_hurried(self, fair_by: Instant) -> Self {
        let is_late = matches!(self, Self::DeadlineExceeded | Self::Stopped(Stopped::Deadline));
        if is_late && Instant::now() < fair_by { Self::Hurried(Box::new(self)) } else { self }
    }

    /// What it is counted as.
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::NoRoom(_) => Trouble::NoRoom,
            Self::Stopped(Stopped::Cpu) => Trouble::Cpu,
            Self::Stopped(Stopped::Deadline) | Self::DeadlineExceeded => Trouble::Timeout,
            Self::Left => Trouble::Replaced,
            Self::Trapped(_) => Trouble::Trap,
            Self::Panicked(_) => Trouble::Panic,
            Self::NoAnswer(_) => Trouble::NoAnswer,
            Self::Downstream(_) => Trouble::Client,
            Self::Hurried(failure) => failure.trouble(),
        }
    }

    pub(super) fn into_dispatch_error(self, service: Arc<str>) -> DispatchError {
        let reason = self.to_string();
        match self {
            Self::NoRoom(_) => DispatchError::Overloaded { service },
            Self::Stopped(_) | Self::DeadlineExceeded | Self::Left => DispatchError::TimedOut { service, reason },
            Self::Trapped(_) | Self::Panicked(_) => DispatchError::Trapped { service, reason },
            Self::NoAnswer(_) => DispatchError::InvalidAnswer { service, reason },
            Self::Downstream(failure) | Self::Hurried(failure) => failure.into_dispatch_error(service),
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
    let engine = &version.blueprint.engine;
    let until = scope.deadline.min(Instant::now() + ROOM_WAIT);
    loop {
        // Made before the attempt, so that no instance freed meanwhile is missed.
        let freed = engine.freed.notified();
        let no_room = match try_instantiate(version, scope).await {
            Err(Failure::NoRoom(reason)) => reason,
            decided => return decided,
        };
        if engine.idle.give_up() && Instant::now() < until {
            continue;
        }
        if tokio::time::timeout_at(until.into(), freed).await.is_err() || Instant::now() >= until {
            return Err(Failure::NoRoom(no_room));
        }
    }
}

async fn try_instantiate(version: &Arc<Version>, scope: Scope) -> Result<Instance, Failure> {
    let mut seat = version.blueprint.store();
    scope.arm(&seat.budget);
    seat.output.begin(scope.trace_id);
    let budget = seat.budget.clone();
    let making = Guarded::new(Box::pin(make(version, &mut seat.store)), budget);
    let Ok(made) = tokio::time::timeout_at(scope.deadline.into(), making).await else {
        return Err(Failure::DeadlineExceeded);
    };
    match made? {
        Ok((proxy, consumer)) => {
            version.counts().instances.count();
            Ok(seat.instance(proxy, consumer))
        }
        Err(error) if error.is::<PoolConcurrencyLimitError>() => Err(Failure::NoRoom(error.to_string())),
        Err(error) => match seat.refusal() {
            Some(refusal @ Refusal::Host) => Err(Failure::NoRoom(refusal.to_string())),
            Some(refusal @ Refusal::Instance) => Err(Failure::Trapped(refusal.to_string())),
            None => Err(error.into()),
        },
    }
}

async fn make(version: &Version, store: &mut Store<InstanceState>) -> wasmtime::Result<(Proxy, Option<Consumer>)> {
    let instance = version.pre.instantiate_async(&mut *store).await?;
    let exports = &version.exports;
    let consumer = exports.consumer.as_ref().map(|consumer| consumer.load(&mut *store, &instance)).transpose()?;
    Ok((exports.proxy.load(store, &instance)?, consumer))
}

type Working = Pin<Box<dyn Future<Output = (Instance, wasmtime::Result<()>)> + Send>>;

/// One call of `incoming-handler.handle`, and the head it has set so far.
pub(super) struct GuestRun {
    working: Guarded<Working>,
    head: Arc<HeadSlot>,
    upload: Arc<Upload>,
    pub(super) limits: Limits,
    /// Those of its head.
    pub(super) head_limits: Limits,
    /// Being late sooner than this is not its fault.
    fair_by: Instant,
}

type Head = Result<Response<WasiBody>, ErrorCode>;
type HeadSlot = Mutex<Option<Head>>;

impl GuestRun {
    /// Hands the request to the instance; the guest runs when this is polled.
    pub(super) fn start(
        mut instance: Instance,
        scope: Scope,
        (limits, fair_by): (Limits, Instant),
        cx: Arc<RequestContext>,
        request: Request<Body>,
    ) -> wasmtime::Result<Self> {
        let scheme = if cx.https { Scheme::Https } else { Scheme::Http };
        let answer_by = request.extensions().get::<AnswerBy>().map_or(scope.deadline, |by| by.0.min(scope.deadline));
        let head_due = HeadDue::new(answer_by);
        instance.begin(&scope, cx, head_due.clone());
        let head = Arc::new(HeadSlot::default());
        let budget = instance.budget.clone();
        let upload = Arc::new(Upload::default());
        let request = request.map(|body| Watched::new(body, upload.clone()));
        let mut http = instance.store.data_mut().http();
        let incoming = http.new_incoming_request(scheme, request)?;
        let slot = head.clone();
        let outparam = http.new_response_outparam_from_callback(move |head| {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
            head_due.meet();
        })?;
        let working: Working = Box::pin(async move {
            let handler = instance.proxy.wasi_http_incoming_handler();
            let result = handler.call_handle(&mut instance.store, incoming, outparam).await;
            instance.end(result.is_ok());
            (instance, result)
        });
        let head_limits = limits.by(answer_by);
        Ok(Self { working: Guarded::new(working, budget), head, upload, limits, head_limits, fair_by })
    }

    /// Lets the guest run. Ready when it has returned: with its instance, in order, or with the
    /// reason why there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Instance, Failure>> {
        let (mut instance, result) = match Pin::new(&mut self.working).poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(failure)) => return Poll::Ready(Err(self.blamed(failure))),
            Poll::Ready(Ok(finished)) => finished,
        };
        Poll::Ready(match result {
            Ok(()) => {
                instance.tidy &= !self.upload.is_held();
                Ok(instance)
            }
            Err(error) => Err(self.blamed(explained(error, instance.refusal()))),
        })
    }

    /// `failure`, or whoever else it is the fault of.
    pub(super) fn blamed(&self, failure: Failure) -> Failure {
        match self.upload.is_to_blame() {
            true => Failure::Downstream(Box::new(failure)),
            false => failure.unless_hurried(self.fair_by),
        }
    }

    /// The head, once the guest has set it; `None` before that and after it was taken.
    pub(super) fn take_head(&mut self) -> Option<Result<Response<WasiBody>, Failure>> {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(head.map_err(|code| Failure::NoAnswer(format!("it answered with the error {code:?}"))))
    }
}

/// A trap after memory was refused is most likely its consequence; the log says both.
pub(super) fn explained(error: wasmtime::Error, refusal: Option<Refusal>) -> Failure {
    match (Failure::from(error), refusal) {
        (Failure::Trapped(trap), Some(refusal)) => Failure::Trapped(format!("{refusal}; then: {trap}")),
        (failure, _) => failure,
    }
}

/// A future that runs guest code: billed to its budget, and its panics are failures.
pub(super) struct Guarded<F> {
    /// `None` after it has finished or panicked.
    future: Option<F>,
    budget: Arc<Budget>,
}

impl<F> Guarded<F> {
    pub(super) fn new(future: F, budget: Arc<Budget>) -> Self {
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
