//! `GET /metrics`: everything that is counted, as it is now.
//!
//! Reads numbers and asks nobody: what other programs must be asked (`lag`) is asked beside, and an
//! answer never waits for it. What is shown under which name is in `telemetry/metrics`.

mod lag;
mod services;

use std::sync::Arc;

use gateway::{
    body::{self, Body},
    context::RequestContext,
    counts::ConnectionCounts,
    dispatch::{Dispatch, Dispatched},
    gateway::Gateway,
};
use http::{Request, Response, header::CONTENT_TYPE};
use tokio::runtime::Handle;

use crate::{
    deploy::{Deployment, Services},
    telemetry::{
        Lost, Process,
        exposition::{Exposition, Format},
        metrics as m,
    },
};
use backend::{events::TopicReport, postgres::PoolCounts};
use lag::Lags;

/// Where all numbers are.
pub(super) struct Metrics {
    pub(super) gateway: Arc<Gateway>,
    pub(super) connections: Arc<ConnectionCounts>,
    pub(super) deployment: Arc<Deployment>,
    pub(super) lost: Lost,
    lags: Lags,
}

impl Dispatch for Metrics {
    fn dispatch(&self, _: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        Box::pin(async move {
            let format = Format::wanted(request.headers());
            let topics = self.lags.read(&self.deployment).await;
            let mut response = Response::new(body::full(self.written(format, &topics)));
            response.headers_mut().insert(CONTENT_TYPE, format.content_type());
            Ok(response)
        })
    }
}

impl Metrics {
    /// Other programs are asked on `runtime`.
    pub(super) fn new(
        gateway: Arc<Gateway>,
        connections: Arc<ConnectionCounts>,
        deployment: Arc<Deployment>,
        lost: Lost,
        runtime: Handle,
    ) -> Self {
        Self { gateway, connections, deployment, lost, lags: Lags::new(runtime) }
    }

    fn written(&self, format: Format, topics: &[TopicReport]) -> String {
        let mut all = Exposition::new(format);
        self.http(&mut all);
        let services = self.deployment.services();
        services::requests(&mut all, &services);
        services::counted(&mut all, &services);
        services::builds(&mut all, &services);
        self.deploying(&mut all);
        self.backends(&mut all);
        self.events(&mut all, &services, topics);
        self.host(&mut all);
        all.done()
    }

    fn http(&self, all: &mut Exposition) {
        let (routes, counts) = (self.gateway.routes(), self.gateway.counts());
        let unmatched = (("none".to_owned(), Arc::from("none")), counts.unmatched.clone());
        let routes: Vec<_> = routes.into_iter().chain([unmatched]).collect();
        let mut samples = all.family(&m::HTTP_REQUESTS);
        for ((route, service), counts) in &routes {
            counts.each().for_each(|(method, class, count)| samples.sample(&[route, service, method, class], count));
        }
        let mut samples = all.family(&m::HTTP_DURATION);
        for ((route, service), counts) in &routes {
            samples.histogram(&[route, service], &counts.duration.read());
        }
        all.single(&m::HTTP_IN_FLIGHT, self.gateway.in_flight());
        let mut samples = all.family(&m::HTTP_REFUSED);
        counts.refused.each().for_each(|(reason, count)| samples.sample(&[reason], count));
        all.single(&m::CONNECTIONS_OPEN, self.connections.open());
        all.single(&m::CONNECTIONS, self.connections.accepted.get());
        all.single(&m::CONNECTIONS_REFUSED, self.connections.refused.get());
    }

    fn deploying(&self, all: &mut Exposition) {
        let counts = &self.deployment.loader.counts;
        let mut samples = all.family(&m::APPLIED);
        counts.applied.each().for_each(|(outcome, count)| samples.sample(&[outcome], count));
        let mut samples = all.family(&m::COMPILED);
        counts.compiled.each().for_each(|(cache, count)| samples.sample(&[cache], count));
    }

    fn backends(&self, all: &mut Exposition) {
        let backends = self.deployment.loader.backends();
        let pools: Vec<_> = backends.databases.pool_counts().collect();
        let mut each = |family, value: fn(&PoolCounts) -> u64| {
            let mut samples = all.family(family);
            pools.iter().for_each(|(database, pool)| samples.sample(&[database], value(pool)));
        };
        each(&m::POSTGRES_MAX, |pool| pool.max);
        each(&m::POSTGRES_LENT, |pool| pool.lent);
        each(&m::POSTGRES_IDLE, |pool| pool.idle);
        each(&m::POSTGRES_WAITS, |pool| pool.waits);
        each(&m::POSTGRES_TIMEOUTS, |pool| pool.timeouts);
        let mut samples = all.family(&m::REDIS_UP);
        backends.redis.all().for_each(|store| samples.sample(&[store.name()], u8::from(!store.is_away())));
    }

    fn events(&self, all: &mut Exposition, services: &Services, topics: &[TopicReport]) {
        let published = self.deployment.loader.events().map(|events| events.published()).unwrap_or_default();
        let mut samples = all.family(&m::EVENTS_PUBLISHED);
        published.iter().for_each(|(service, count)| samples.sample(&[service], count));
        let mut samples = all.family(&m::EVENTS);
        for (name, deployed) in services.iter().filter(|(_, of)| of.settings.grants.subscription().is_some()) {
            let each = deployed.service.counts().events.each();
            each.for_each(|(outcome, count)| samples.sample(&[name, outcome], count));
        }
        let lags = || topics.iter().flat_map(|topic| topic.services.iter().map(|lag| (&*topic.topic, lag)));
        let mut samples = all.family(&m::EVENTS_LAG);
        lags().for_each(|(topic, lag)| {
            lag.lag.iter().for_each(|count| samples.sample(&[topic, &lag.service], count));
        });
        let mut samples = all.family(&m::EVENTS_PENDING);
        lags().for_each(|(topic, lag)| samples.sample(&[topic, &lag.service], lag.pending));
        let mut samples = all.family(&m::OUTBOX_WAITING);
        let backends = self.deployment.loader.backends();
        backends.databases.outboxes().for_each(|outbox| samples.sample(&[outbox.database()], outbox.waiting()));
    }

    fn host(&self, all: &mut Exposition) {
        let memory = self.deployment.loader.guest_memory();
        all.single(&m::GUEST_MEMORY, memory.used_bytes());
        all.single(&m::GUEST_MEMORY_MAX, memory.max_bytes());
        all.single(&m::LOG_LOST, self.lost.get());
        all.family(&m::BUILD).sample(&[env!("CARGO_PKG_VERSION")], 1);
        let Some(process) = Process::now() else { return };
        all.single(&m::CPU, process.cpu_seconds);
        all.single(&m::RESIDENT, process.resident_bytes);
        all.single(&m::VIRTUAL, process.virtual_bytes);
        all.single(&m::DESCRIPTORS, process.descriptors);
        all.single(&m::STARTED, process.started_seconds);
    }
}
