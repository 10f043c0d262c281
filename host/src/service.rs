//! A service: a component behind [`Dispatch`], with its concurrency, its instances and its
//! breaker.
//!
//! Decides when an instance is made, reused and thrown away, who may enter, and what a failure
//! of the guest is called. What a guest may see is `instance`'s business, what a failure looks
//! like to a client is the gateway's.

use std::{sync::Arc, time::Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use gateway::{
    body::Body,
    context::RequestContext,
    counts::Label,
    dispatch::{AnswerBy, AnsweredBy, Dispatch, DispatchError, Dispatched},
};
use http::{Request, Response};

use crate::{
    instance::{Instance, Scope},
    telemetry::counts::{ServiceCounts, Trouble},
};

mod answer;
mod answering;
mod asked;
mod breaker;
mod delivery;
mod door;
mod failure;
mod fair;
mod gate;
mod guarded;
mod instantiate;
mod leave;
mod quick;
mod ramp;
mod remote;
mod run;
mod scene;
mod share;
mod told;
mod traffic;
mod trap;
mod upload;
mod version;
mod warm;

pub use breaker::Breaker;
pub use delivery::Handled;
pub use failure::Failure;
pub use leave::DrainLimit;
pub use ramp::{Arm, ArmCounts, LEASE, Lead, Ramp};
pub use remote::Remote;
pub use traffic::Traffic;
pub use version::Version;

use answer::Work;
use answering::Answering;
use asked::Asked;
use breaker::Admitted;
use door::Door;
use fair::fair_time;
use gate::{Arrival, Gate, Permit};
use leave::Deadline;
use ramp::Chosen;
use run::{GuestRun, Time};

/// A component as the gateway sees it.
pub struct Service {
    name: Arc<str>,
    current: ArcSwap<Version>,
    gate: Gate,
    breaker: Arc<Breaker>,
    traffic: Arc<Traffic>,
    counts: Arc<ServiceCounts>,
    /// The version that was live before, ready to be so again.
    previous: ArcSwapOption<Version>,
    /// A version that gets a share of the requests.
    ramp: ArcSwapOption<Ramp>,
}

impl Service {
    pub fn new(name: Arc<str>, version: Arc<Version>) -> Self {
        let limits = version.limits();
        let gate = Gate::new(limits.concurrency, limits.queue_length, limits.queue_wait);
        let breaker = Arc::new(Breaker::new(name.clone()));
        Self {
            name,
            gate,
            breaker,
            traffic: Arc::default(),
            counts: version.counts().clone(),
            current: ArcSwap::new(version),
            previous: ArcSwapOption::empty(),
            ramp: ArcSwapOption::empty(),
        }
    }

    /// The same service with other settings, those of `version`: it goes on counting, and begins
    /// everything else anew. Requests in this one finish here.
    pub fn successor(&self, version: Arc<Version>) -> Self {
        Self { traffic: self.traffic.clone(), ..Self::new(self.name.clone(), version) }
    }

    /// Another one has taken its place, or none: it keeps nothing for later requests.
    pub fn retire(&self) {
        self.current.load().withdraw();
        self.previous.store(None);
        self.end_ramp("an applied manifest changed the service");
    }

    pub fn version(&self) -> Arc<Version> {
        self.current.load_full()
    }

    /// Makes `version` the live one, in one store: requests that start from now on run on it, those
    /// in flight finish on theirs. Gives back the version that was live.
    pub fn replace(&self, version: Arc<Version>) -> Arc<Version> {
        version.admit_requests();
        let ramped = self.ramp.swap(None);
        let by = version.text().to_owned();
        let old = self.current.swap(version.clone());
        self.breaker.reset();
        old.withdraw();
        self.previous.store(Some(old.clone()));
        if let Some(ramp) = ramped {
            if !Arc::ptr_eq(&ramp.version, &version) {
                ramp.version.withdraw();
            }
            ramp.end(format!("superseded by {by}"));
        }
        old
    }

    /// Puts `new` in the place of `before`, the same build on other code: nobody is told, and requests in flight
    /// go on. False: `before` is not live any more, and nothing has changed.
    pub fn refine(&self, before: &Arc<Version>, new: Arc<Version>) -> bool {
        let found = self.current.compare_and_swap(before, new);
        let was_live = Arc::ptr_eq(&found, before);
        if was_live {
            before.warm.retire(true);
        }
        was_live
    }

    /// The version that was live before this one.
    pub fn previous(&self) -> Option<Arc<Version>> {
        self.previous.load_full()
    }

    /// What it has answered so far, over all its versions.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// What else is counted of it.
    pub fn counts(&self) -> &ServiceCounts {
        &self.counts
    }

    /// Requests that are in it now.
    pub fn in_flight(&self) -> usize {
        self.gate.inside()
    }

    /// Instances that wait for a request.
    pub fn idle_instances(&self) -> usize {
        self.current.load().warm.count()
    }

    /// Drops instances that have been idle for longer than `limits.reuse.idle`.
    pub fn drop_idle(&self) {
        self.current.load().warm.drop_idle();
        if let Some(ramp) = &*self.ramp.load() {
            ramp.version.warm.drop_idle();
        }
    }

    async fn answer(
        &self,
        began: Instant,
        cx: Arc<RequestContext>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, DispatchError> {
        let mut span = Answering::begin(&cx, self.current.load().source(), request.method(), began);
        let admitted = self.breaker.admit().map_err(|_open| {
            self.counts.troubles.count(Trouble::Resting);
            span.refused(Trouble::Resting.word());
            DispatchError::Resting { service: self.name.clone() }
        })?;
        let mut deadline = Deadline::of(began + self.current.load().limits().timeout, cx.deadline, &cx.awaited);
        if cx.stream.is_some() {
            // It has that time for its head only.
            request.extensions_mut().insert(AnswerBy(deadline.latest));
            deadline = Deadline::endless();
        }
        let body = if request.body().is_whole() { Arrival::Whole } else { Arrival::UnderWay };
        let entered_by = request.extensions().get::<AnswerBy>().map_or(deadline.latest, |by| by.0.min(deadline.latest));
        let Some(permit) = self.gate.enter(body, entered_by).await else {
            self.counts.troubles.count(Trouble::Full);
            span.refused(Trouble::Full.word());
            return Err(DispatchError::Overloaded { service: self.name.clone() });
        };
        // After the queue: who waited there meets the newest one.
        let Chosen { version, admitted, arm } = self.chosen(cx.trace.trace_id, admitted);
        let entered = if permit.has_queued { Instant::now() } else { began };
        span.admitted(version.source(), entered);
        let place = Place { version, permit, entered, admitted, deadline, span };
        let result = self.answer_on(place, cx, request).await;
        if let Some(arm) = arm {
            let failed = result.as_ref().is_ok_and(|response| response.status().is_server_error());
            arm.answer(entered.elapsed(), failed);
        }
        result
    }

    async fn answer_on(
        &self,
        place: Place,
        cx: Arc<RequestContext>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, DispatchError> {
        let Place { version, permit, entered, admitted, deadline, mut span } = place;
        let scope = Scope { trace_id: cx.trace.trace_id, deadline: deadline.latest, cpu: version.limits().cpu };
        let head_only = request.method() == http::Method::HEAD;
        let door = Door::of(&version.exports, &cx, &request);
        span.enters_by(door.word());
        let limits = version.leave.limits(deadline, entered);
        let (gathered, began) = match door.is_too_narrow_for(&request) {
            true => (door::gather(&version, &limits, request.body_mut()).await, Instant::now()),
            false => (Ok(()), entered),
        };
        let fair_by = began + fair_time(version.limits().timeout);
        let ready = match gathered {
            Ok(()) => self.instance(&version, scope).await,
            Err(failure) => Err(failure),
        };
        let started = match ready {
            Ok(instance) => {
                span.runs(instance.served == 0);
                let time = Time { limits, fair_by };
                GuestRun::start((door, instance), scope, time, (cx, span), request)
                    .map_err(|error| Failure::trapped(format_args!("{error:#}")))
            }
            Err(failure) => {
                span.failed(&failure);
                Err(failure.unless_hurried(fair_by))
            }
        };
        let run = match started {
            Ok(run) => run,
            Err(failure) => {
                admitted.failed_for(failure.blame());
                self.counts.troubles.count(failure.trouble());
                return Err(failure.into_dispatch_error(self.name.clone()));
            }
        };
        let work = Work { run, version: version.clone(), permit, admitted, head_only };
        let answered = answer::head(work).await;
        let mut response = answered.map_err(|failure| failure.into_dispatch_error(self.name.clone()))?;
        let mark = AnsweredBy { service: self.name.clone(), version: Some(version.label.clone()) };
        response.extensions_mut().insert(mark);
        Ok(response)
    }

    async fn instance(&self, version: &Arc<Version>, scope: Scope) -> Result<Instance, Failure> {
        match version.warm.take() {
            Some(instance) => Ok(instance),
            None => instantiate::instantiate(version, scope).await,
        }
    }

    /// Whether it gets no requests for a moment, because most of them failed.
    pub fn is_resting(&self) -> bool {
        self.breaker.is_open()
    }
}

impl Dispatch for Service {
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        Box::pin(async move {
            let asked = Asked::new(&self.counts, &self.traffic);
            let answer = self.answer(asked.began, cx, request).await;
            asked.answered(answer)
        })
    }
}

/// What a request has when it is let in.
struct Place {
    version: Arc<Version>,
    permit: Permit,
    /// When it was let in.
    entered: Instant,
    admitted: Admitted,
    deadline: Deadline,
    span: Answering,
}
