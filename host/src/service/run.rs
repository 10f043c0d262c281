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
use span::Active;
use wasmtime::component::Resource;
use wasmtime_wasi_http::{
    WasiBody, WasiHttpView,
    p2::{
        bindings::http::types::{ErrorCode, Scheme},
        types::HostIncomingRequest,
    },
};

use super::{
    failure::{Failure, explained},
    guarded::Guarded,
    leave::Limits,
    told,
    upload::{Upload, Watched},
};
use crate::{
    capability::http::HeadDue,
    instance::{Instance, Scope},
};

type Working = Pin<Box<dyn Future<Output = (Instance, wasmtime::Result<()>)> + Send>>;

/// How long a guest may take over a request.
pub(super) struct Time {
    pub(super) limits: Limits,
    /// Being late sooner than this is not its fault.
    pub(super) fair_by: Instant,
}

/// One call of `incoming-handler.handle`, and the head it has set so far.
pub(super) struct GuestRun {
    working: Guarded<Working>,
    head: Arc<HeadSlot>,
    upload: Arc<Upload>,
    /// Where the guest's table has the request.
    request: u32,
    pub(super) limits: Limits,
    /// Those of its head.
    pub(super) head_limits: Limits,
    /// Being late sooner than this is not its fault.
    fair_by: Instant,
    /// Ends with it.
    span: Active,
}

type Head = Result<Response<WasiBody>, ErrorCode>;
type HeadSlot = Mutex<Option<Head>>;

/// Whether the guest has not dropped the request: so one says that it wants no other.
fn holds(instance: &mut Instance, request: u32) -> bool {
    let request = Resource::<HostIncomingRequest>::new_borrow(request);
    instance.store.data_mut().http().table.get(&request).is_ok()
}

impl GuestRun {
    /// Hands the request to the instance; the guest runs when this is polled.
    pub(super) fn start(
        mut instance: Instance,
        scope: Scope,
        time: Time,
        (cx, span): (Arc<RequestContext>, Active),
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
        let request = incoming.rep();
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
        told::returned(&mut self.span, &instance);
        Poll::Ready(match result {
            Ok(()) => {
                instance.tidy &= !self.upload.is_held() && !holds(&mut instance, self.request);
                Ok(instance)
            }
            Err(error) => Err(self.failed(explained(error, instance.refusal()))),
        })
    }

    /// `failure`, or whoever else it is the fault of; its span says so.
    pub(super) fn failed(&mut self, failure: Failure) -> Failure {
        let failure = self.blamed(failure);
        told::failed(&mut self.span, &failure);
        failure
    }

    fn blamed(&self, failure: Failure) -> Failure {
        match self.upload.is_to_blame() {
            true => Failure::Downstream(Box::new(failure)),
            false => failure.unless_hurried(self.fair_by),
        }
    }

    /// The head, once the guest has set it; `None` before that and after it was taken.
    pub(super) fn take_head(&mut self) -> Option<Result<Response<WasiBody>, Failure>> {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(match head {
            Ok(head) => {
                told::head(&mut self.span, head.status());
                Ok(head)
            }
            Err(code) => Err(self.failed(Failure::NoAnswer(format!("it answered with the error {code:?}")))),
        })
    }
}
