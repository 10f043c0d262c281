//! A service: a component behind [`Dispatch`], with its concurrency, its instances and its
//! breaker.
//!
//! Decides when an instance is made, reused and thrown away, who may enter, and what a failure
//! of the guest is called. What a guest may see is `instance`'s business, what a failure looks
//! like to a client is the gateway's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use gateway::{
    body::Body,
    context::RequestContext,
    dispatch::{AnsweredBy, Dispatch, DispatchError, Dispatched},
};
use http::{Request, Response};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{
    component::Component,
    instance::{Blueprint, Instance, InstanceState, Scope},
    manifest::Limits,
};

mod answer;
mod breaker;
mod gate;
mod run;
mod warm;

pub use breaker::Breaker;

use answer::Answer;
use gate::{Arrival, Gate};
use run::{Failure, GuestRun};
use warm::Warm;

/// A component as the gateway sees it.
pub struct Service {
    name: Arc<str>,
    current: ArcSwap<Version>,
    gate: Gate,
    breaker: Breaker,
}

/// One build of a service's component, linked and ready; requests in flight keep theirs.
pub struct Version {
    /// `1.0.0+3f2a9c41d7e0`.
    pub label: http::HeaderValue,
    pub component: Arc<Component>,
    pre: ProxyPre<InstanceState>,
    blueprint: Blueprint,
    warm: Warm,
}

impl Version {
    /// # Errors
    /// When the component cannot be linked or does not export `wasi:http/incoming-handler@0.2`.
    pub fn new(
        blueprint: Blueprint,
        component: Arc<Component>,
        linker: &wasmtime::component::Linker<InstanceState>,
    ) -> wasmtime::Result<Self> {
        let pre = ProxyPre::new(linker.instantiate_pre(&component.compiled)?)?;
        let label = format!("{}+{}", blueprint.settings.version, component.digest.short());
        Ok(Self {
            label: http::HeaderValue::try_from(label)?,
            warm: Warm::new(blueprint.settings.limits.reuse),
            component,
            pre,
            blueprint,
        })
    }

    /// One instance on trial: proves that the component starts within its limits.
    pub async fn try_start(self: &Arc<Self>) -> Result<(), Failure> {
        let limits = &self.blueprint.settings.limits;
        let scope = Scope { trace_id: 0, deadline: Instant::now() + limits.timeout, cpu: limits.cpu };
        let instance = run::instantiate(self, scope).await?;
        self.warm.keep(instance);
        Ok(())
    }

    fn limits(&self) -> &Limits {
        &self.blueprint.settings.limits
    }
}

impl Service {
    pub fn new(name: Arc<str>, version: Arc<Version>) -> Self {
        let limits = version.limits();
        let gate = Gate::new(limits.concurrency, limits.queue_length, limits.queue_wait);
        Self { name, gate, current: ArcSwap::new(version), breaker: Breaker::default() }
    }

    pub fn version(&self) -> Arc<Version> {
        self.current.load_full()
    }

    /// Drops instances that have been idle for longer than `limits.reuse.idle`.
    pub fn drop_idle(&self) {
        self.current.load().warm.drop_idle();
    }

    async fn answer(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Result<Response<Body>, DispatchError> {
        let admitted = self.breaker.admit().map_err(|open| self.unavailable(open.to_string()))?;
        let version = self.version();
        let deadline = cx.deadline.min(Instant::now() + version.limits().timeout);
        let body = if request.body().is_whole() { Arrival::Whole } else { Arrival::UnderWay };
        let Some(permit) = self.gate.enter(body, deadline).await else {
            return Err(DispatchError::Overloaded { service: self.name.clone() });
        };
        let scope = Scope { trace_id: cx.trace.trace_id, deadline, cpu: version.limits().cpu };
        let outcome = async {
            let instance = match version.warm.take() {
                Some(instance) => instance,
                None => run::instantiate(&version, scope).await?,
            };
            let run = GuestRun::start(instance, scope, request).map_err(Failure::from)?;
            answer::head(run, version.clone(), permit).await
        };
        match outcome.await {
            Ok(answer) => {
                admitted.succeeded();
                Ok(self.marked(answer, &version))
            }
            Err(failure) => {
                if failure.is_the_guests() {
                    admitted.failed();
                }
                Err(failure.into_dispatch_error(self.name.clone()))
            }
        }
    }

    fn marked(&self, answer: Answer, version: &Version) -> Response<Body> {
        let mut response = answer.response;
        let mark = AnsweredBy { service: self.name.clone(), version: version.label.clone() };
        response.extensions_mut().insert(mark);
        response
    }

    fn unavailable(&self, reason: String) -> DispatchError {
        DispatchError::Unavailable { service: self.name.clone(), reason }
    }
}

impl Dispatch for Service {
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        Box::pin(self.answer(cx, request))
    }
}

/// How long an instance that could not be made for want of room is waited for.
const ROOM_WAIT: Duration = Duration::from_millis(250);

/// An instance goes back only if its request left it in order.
fn recycle(version: &Version, instance: Instance) {
    version.warm.keep(instance);
}
