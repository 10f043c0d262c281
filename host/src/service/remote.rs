//! A service that is no component, as the gateway and its callers see it.
//!
//! Decides who may enter and for how long, and what a failure of it is called: the same places, queue,
//! breaker and counts as for a component. Where it runs and how it is reached is `backend`'s.

mod passing;
mod vouching;

use std::{sync::Arc, time::Instant};

use gateway::{
    body::{self, Body},
    context::RequestContext,
    dispatch::{AnswerBy, AnsweredBy, Dispatch, DispatchError, Dispatched, Switched},
};
use http::{Request, Response};

use super::{
    asked::Asked,
    breaker::{Admitted, Blame, Breaker},
    fair::fair_time,
    gate::{Arrival, Gate, Permit},
    leave::{Deadline, Limits},
    told,
    traffic::Traffic,
};
use crate::telemetry::counts::{ServiceCounts, Trouble};
use backend::identity::Voucher;
use backend::upstream::{Allowance, Answer, Upstream, UpstreamError};
use manifest::{UpstreamLimits, UpstreamSettings};
use passing::Passing;
use vouching::Vouching;

/// A service elsewhere.
pub struct Remote {
    name: Arc<str>,
    limits: UpstreamLimits,
    pub upstream: Upstream,
    vouching: Vouching,
    gate: Gate,
    breaker: Arc<Breaker>,
    traffic: Arc<Traffic>,
    counts: Arc<ServiceCounts>,
}

/// What a request has when it is let in.
struct Place {
    permit: Permit,
    admitted: Admitted,
    limits: Limits,
}

impl Remote {
    /// `voucher` proves to it who calls, where its settings say that by tokens.
    pub fn new(
        settings: &UpstreamSettings,
        upstream: Upstream,
        counts: Arc<ServiceCounts>,
        voucher: Option<&Arc<Voucher>>,
    ) -> Self {
        let (name, limits) = (settings.name.clone(), settings.limits.clone());
        let gate = Gate::new(limits.concurrency, limits.queue_length, limits.queue_wait);
        let breaker = Arc::new(Breaker::new(name.clone()));
        let vouching = Vouching::of(settings.proof, voucher);
        Self { name, limits, upstream, vouching, gate, breaker, traffic: Arc::default(), counts }
    }

    /// It goes on counting what `before` counted.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        Self { traffic: before.traffic.clone(), ..self }
    }

    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub fn counts(&self) -> &ServiceCounts {
        &self.counts
    }

    /// Requests that are in it now.
    pub fn in_flight(&self) -> usize {
        self.gate.inside()
    }

    /// Whether it gets no requests for a moment, because most of them failed.
    pub fn is_resting(&self) -> bool {
        self.breaker.is_open()
    }

    async fn answer(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Result<Response<Body>, DispatchError> {
        let admitted = self.breaker.admit().map_err(|_open| {
            self.counts.troubles.count(Trouble::Resting);
            DispatchError::Resting { service: self.name.clone() }
        })?;
        let deadline = Deadline::of(Instant::now() + self.limits.timeout, cx.deadline, &cx.awaited);
        let by = request.extensions().get::<AnswerBy>().map_or(deadline.latest, |by| by.0.min(deadline.latest));
        let body = if request.body().is_whole() { Arrival::Whole } else { Arrival::UnderWay };
        let Some(permit) = self.gate.enter(body, by).await else {
            self.counts.troubles.count(Trouble::Full);
            return Err(DispatchError::Overloaded { service: self.name.clone() });
        };
        // A stream has that time for its head only.
        let deadline = if cx.stream.is_some() { Deadline::endless() } else { deadline };
        let place = Place { permit, admitted, limits: Limits::of(deadline) };
        self.answer_in(place, by, &cx, request).await
    }

    async fn answer_in(
        &self,
        place: Place,
        by: Instant,
        cx: &RequestContext,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, DispatchError> {
        self.vouching.vouch(&self.name, (cx, by), request.headers_mut()).await?;
        let fair_by = Instant::now() + fair_time(self.limits.timeout);
        // Who calls asks again by itself.
        let (again, is_stream) = (cx.source_service.is_none(), cx.stream.is_some());
        let allowed = Allowance { by, fair_by, again, is_stream };
        let sent = tokio::select! {
            biased;
            sent = self.upstream.send(request, allowed) => sent,
            // Sooner than `by` where the client's body is not what is waited for.
            _over = place.limits.by(by).over() => Err(UpstreamError::Late { address: self.name.to_string() }),
        };
        match sent {
            Ok(response) => Ok(self.passed(response, place)),
            Err(error) => {
                let is_hurried = matches!(error, UpstreamError::Late { .. }) && Instant::now() < fair_by;
                let is_excused = is_hurried || cx.awaited.is_on();
                let blame = if is_its_fault(&error) && !is_excused { Blame::Service } else { Blame::Nobody };
                place.admitted.failed_for(blame);
                self.counts.troubles.count(trouble(&error));
                Err(self.refused(error))
            }
        }
    }

    fn passed(&self, mut response: Response<Answer>, place: Place) -> Response<Body> {
        let Place { permit, admitted, limits } = place;
        let (service, counts) = (self.name.clone(), self.counts.clone());
        if let Some(switched) = response.extensions_mut().remove::<Switched>() {
            admitted.succeeded();
            response.extensions_mut().insert(switched.keeping(permit));
            let mut response = response.map(|_none| body::empty());
            response.extensions_mut().insert(AnsweredBy { service, version: None });
            return response;
        }
        let mut response =
            response.map(|answer| Body::new(Passing::new(answer, (service, counts), (permit, admitted), limits)));
        response.extensions_mut().insert(AnsweredBy { service: self.name.clone(), version: None });
        response
    }

    fn refused(&self, error: UpstreamError) -> DispatchError {
        let (service, reason) = (self.name.clone(), error.to_string());
        match error {
            UpstreamError::NoneWell { .. } | UpstreamError::Nowhere { .. } | UpstreamError::Unreachable { .. } => {
                DispatchError::Unavailable { service, reason }
            }
            UpstreamError::Full { .. } => DispatchError::Overloaded { service },
            UpstreamError::Untrusted { .. } | UpstreamError::Broken { .. } => {
                DispatchError::InvalidAnswer { service, reason }
            }
            UpstreamError::Late { .. } => DispatchError::TimedOut { service, reason },
            UpstreamError::RequestBody(error) => error.into(),
        }
    }
}

fn is_its_fault(error: &UpstreamError) -> bool {
    !matches!(error, UpstreamError::Full { .. } | UpstreamError::RequestBody(_))
}

fn trouble(error: &UpstreamError) -> Trouble {
    match error {
        UpstreamError::NoneWell { .. }
        | UpstreamError::Nowhere { .. }
        | UpstreamError::Unreachable { .. }
        | UpstreamError::Untrusted { .. } => Trouble::Unreachable,
        UpstreamError::Full { .. } => Trouble::Full,
        UpstreamError::Broken { .. } => Trouble::NoAnswer,
        UpstreamError::Late { .. } => Trouble::Timeout,
        UpstreamError::RequestBody(_) => Trouble::Client,
    }
}

impl Dispatch for Remote {
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        Box::pin(async move {
            let asked = Asked::new(&self.counts, &self.traffic);
            let mut span = told::elsewhere(&cx, &self.name, request.method());
            let answer = self.answer(cx, request).await;
            match &answer {
                Ok(response) => told::head(&mut span, response.status()),
                Err(error) => told::refused(&mut span, error),
            }
            asked.answered(answer)
        })
    }

    fn may_switch(&self) -> bool {
        true
    }
}
