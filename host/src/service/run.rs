//! A guest at work on one request.
//!
//! It runs inside the task of its request: whoever waits for the answer polls it, and dropping it
//! ends it. No task is spawned and no store is used again after a trap.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use gateway::{body::Body, context::RequestContext, dispatch::AnswerBy};
use http::{Request, Response};
use wasmtime::component::Resource;
use wasmtime_wasi_http::{
    WasiBody, WasiHttpView,
    p2::{
        bindings::http::types::{ErrorCode, Scheme},
        types::HostIncomingRequest,
    },
};

use super::{
    answering::Answering,
    door::Door,
    failure::Failure,
    guarded::Guarded,
    leave::Limits,
    quick,
    trap::explained,
    upload::{Upload, Watched},
};
use crate::{
    capability::http::HeadDue,
    instance::{Instance, Scope},
};

/// Ends with the instance and, by the quick door, with the answer.
type Working = Pin<Box<dyn Future<Output = (Instance, Result<Option<Response<Body>>, Failure>)> + Send>>;

/// How long a guest may take over a request.
pub(super) struct Time {
    pub(super) limits: Limits,
    /// Being late sooner than this is not its fault.
    pub(super) fair_by: Instant,
}

/// One call of the guest's handler, and the head it has set so far.
pub(super) struct GuestRun {
    working: Guarded<Working>,
    head: Arc<HeadSlot>,
    upload: Arc<Upload>,
    /// Where the guest's table has the request; nowhere by the quick door.
    request: Option<u32>,
    pub(super) limits: Limits,
    /// Those of its head.
    pub(super) head_limits: Limits,
    /// Being late sooner than this is not its fault.
    fair_by: Instant,
    /// Ends with it.
    span: Answering,
}

type Head = Result<Response<GuestBody>, ErrorCode>;
type HeadSlot = Mutex<Option<Head>>;

/// The body of an answer.
pub(super) enum GuestBody {
    /// The guest may be writing it still.
    Open(WasiBody),
    /// All of it is here.
    Whole(Body),
}

/// Whether the guest has not dropped the request: so one says that it wants no other.
fn holds(instance: &mut Instance, request: u32) -> bool {
    let request = Resource::<HostIncomingRequest>::new_borrow(request);
    instance.store.data_mut().http().table.get(&request).is_ok()
}

fn set(slot: &HeadSlot, head: Head) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
}

/// `archipel:http/handler`: the guest's answer is what it returns.
fn by_quick_door(mut instance: Instance, https: bool, request: Request<Body>) -> Working {
    let (head, mut body) = request.into_parts();
    // Whoever chose this door made sure that all of it is here.
    let body = body.take().unwrap_or_default();
    Box::pin(async move {
        let answer = quick::handled(&mut instance, https, (head, body)).await;
        (instance, answer.map(Some))
    })
}

/// `wasi:http/incoming-handler`: the guest sets its head when it likes, and goes on. With it comes where the guest's
/// table has the request.
fn by_standard(
    mut instance: Instance,
    https: bool,
    (request, upload): (Request<Body>, &Arc<Upload>),
    (slot, head_due): (Arc<HeadSlot>, HeadDue),
) -> wasmtime::Result<(Option<u32>, Working)> {
    let request = request.map(|body| Watched::new(body, upload.clone()));
    let mut http = instance.store.data_mut().http();
    let scheme = if https { Scheme::Https } else { Scheme::Http };
    let incoming = http.new_incoming_request(scheme, request)?;
    let rep = incoming.rep();
    let outparam = http.new_response_outparam_from_callback(move |head| {
        set(&slot, head.map(|head| head.map(GuestBody::Open)));
        head_due.meet();
    })?;
    let working = Box::pin(async move {
        let result = match &instance.proxy {
            Some(proxy) => {
                let handler = proxy.wasi_http_incoming_handler();
                handler.call_handle(&mut instance.store, incoming, outparam).await
            }
            None => Err(wasmtime::format_err!("its component does not export `wasi:http/incoming-handler@0.2`")),
        };
        instance.end(result.is_ok());
        let result = result.map(|()| None).map_err(|error| explained(&error, &instance));
        (instance, result)
    });
    Ok((Some(rep), working))
}

impl GuestRun {
    /// Hands the request to the instance; the guest runs when this is polled.
    pub(super) fn start(
        (door, mut instance): (Door, Instance),
        scope: Scope,
        time: Time,
        (cx, span): (Arc<RequestContext>, Answering),
        request: Request<Body>,
    ) -> wasmtime::Result<Self> {
        let https = cx.https;
        let answer_by = request.extensions().get::<AnswerBy>().map_or(scope.deadline, |by| by.0.min(scope.deadline));
        let head_due = HeadDue::new(answer_by);
        instance.begin(&scope, cx, head_due.clone());
        let head = Arc::new(HeadSlot::default());
        let budget = instance.budget.clone();
        let upload = Arc::new(Upload::default());
        let (request, working) = match door {
            Door::Quick => (None, by_quick_door(instance, https, request)),
            Door::Standard => by_standard(instance, https, (request, &upload), (head.clone(), head_due))?,
        };
        let Time { limits, fair_by } = time;
        let head_limits = limits.by(answer_by);
        Ok(Self { working: Guarded::new(working, budget), head, upload, request, limits, head_limits, fair_by, span })
    }

    /// Lets the guest run. Ready when it has returned: with its instance, in order, or with the
    /// reason why there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Instance, Failure>> {
        let (mut instance, result) = match Pin::new(&mut self.working).poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(failure)) => return Poll::Ready(Err(self.failed(failure))),
            Poll::Ready(Ok(finished)) => finished,
        };
        self.span.returned(&instance);
        Poll::Ready(match result {
            Ok(answer) => {
                if let Some(answer) = answer {
                    set(&self.head, Ok(answer.map(GuestBody::Whole)));
                }
                let holds = self.request.is_some_and(|request| holds(&mut instance, request));
                instance.tidy &= !self.upload.is_held() && !holds;
                Ok(instance)
            }
            Err(failure) => Err(self.failed(failure)),
        })
    }

    /// `failure`, or whoever else it is the fault of; its span says so.
    pub(super) fn failed(&mut self, failure: Failure) -> Failure {
        let failure = self.blamed(failure);
        self.span.failed(&failure);
        failure
    }

    fn blamed(&self, failure: Failure) -> Failure {
        match self.upload.is_to_blame() {
            true => Failure::Downstream(Box::new(failure)),
            false => failure.unless_hurried(self.fair_by),
        }
    }

    /// The head, once the guest has set it; `None` before that and after it was taken.
    pub(super) fn take_head(&mut self) -> Option<Result<Response<GuestBody>, Failure>> {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(match head {
            Ok(head) => {
                self.span.head(head.status());
                Ok(head)
            }
            Err(code) => Err(self.failed(Failure::Raised(format!("it answered with the error {code:?}")))),
        })
    }
}
