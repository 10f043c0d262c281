//! `GET /metrics`: everything that is counted, as it is now.
//!
//! Reads numbers and asks nobody: what other programs must be asked (`lag`) is asked beside, and an
//! answer never waits for it. What is shown under which name is in `telemetry/metrics`.

mod lag;

use std::{collections::BTreeMap, sync::Arc};

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
    backend::{events::TopicReport, postgres::PoolCounts},
    deploy::{Deployed, Deployment},
    telemetry::{
        Lost, Process,
        counts::ServiceCounts,
        exposition::{Exposition, Format, Samples},
        metrics::{self as m, Family},
    },
};
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

type Services = BTreeMap<Arc<str>, Arc<Deployed>>;

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
        requests(&mut all, &services);
        counted(&mut all, &services);
        builds(&mut all, &services);
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
        let families: [(_, fn(&PoolCounts) -> u64); 5] = [
            (&m::POSTGRES_MAX, |pool| pool.max),
            (&m::POSTGRES_LENT, |pool| pool.lent),
            (&m::POSTGRES_IDLE, |pool| pool.idle),
            (&m::POSTGRES_WAITS, |pool| pool.waits),
            (&m::POSTGRES_TIMEOUTS, |pool| pool.timeouts),
        ];
        for (family, value) in families {
            let mut samples = all.family(family);
            pools.iter().for_each(|(database, pool)| samples.sample(&[database], value(pool)));
        }
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

/// One number of each service.
fn each(all: &mut Exposition, services: &Services, family: &'static Family, value: impl Fn(&Deployed) -> u64) {
    let mut samples = all.family(family);
    services.iter().for_each(|(name, deployed)| samples.sample(&[name], value(deployed)));
}

/// Several numbers of each service.
fn all_of(
    all: &mut Exposition,
    services: &Services,
    family: &'static Family,
    write: impl Fn(&mut Samples<'_>, &str, &ServiceCounts),
) {
    let mut samples = all.family(family);
    services.iter().for_each(|(name, deployed)| write(&mut samples, name, deployed.service.counts()));
}

fn requests(all: &mut Exposition, services: &Services) {
    each(all, services, &m::SERVICE_REQUESTS, |of| of.service.traffic().requests());
    each(all, services, &m::SERVICE_ERRORS, |of| of.service.traffic().errors());
    let mut samples = all.family(&m::SERVICE_DURATION);
    services.iter().for_each(|(name, of)| samples.histogram(&[name], &of.service.traffic().duration.read()));
    each(all, services, &m::SERVICE_IN_FLIGHT, |of| of.service.in_flight() as u64);
    each(all, services, &m::SERVICE_IDLE, |of| of.service.idle_instances() as u64);
    each(all, services, &m::SERVICE_INSTANCES, |of| of.service.counts().instances.get());
}

fn counted(all: &mut Exposition, services: &Services) {
    all_of(all, services, &m::SERVICE_TROUBLES, |samples, name, counts| {
        counts.troubles.each().for_each(|(kind, count)| samples.sample(&[name, kind], count));
    });
    each(all, services, &m::SERVICE_RESTING, |of| of.service.is_resting().into());
    each(all, services, &m::SERVICE_MEMORY, |of| of.service.counts().memory_bytes());
    all_of(all, services, &m::SERVICE_MEMORY_REFUSED, |samples, name, counts| {
        counts.memory_refused.each().for_each(|(limit, count)| samples.sample(&[name, limit], count));
    });
    all_of(all, services, &m::CALLS, |samples, name, counts| {
        counts.calls().iter().for_each(|(callee, counts)| samples.sample(&[name, callee], counts.calls.get()));
    });
    all_of(all, services, &m::CALL_ERRORS, |samples, name, counts| {
        counts.calls().iter().for_each(|(callee, counts)| samples.sample(&[name, callee], counts.errors.get()));
    });
    all_of(all, services, &m::DENIED, |samples, name, counts| {
        counts.denied.each().for_each(|(permission, count)| samples.sample(&[name, permission], count));
    });
}

fn builds(all: &mut Exposition, services: &Services) {
    all_of(all, services, &m::SWAPS, |samples, name, counts| {
        counts.swaps.each().for_each(|(outcome, count)| samples.sample(&[name, outcome], count));
    });
    all_of(all, services, &m::SWAP_DURATION, |samples, name, counts| {
        samples.histogram(&[name], &counts.swap_duration.read());
    });
    all_of(all, services, &m::RAMPS, |samples, name, counts| {
        counts.ramps.each().for_each(|(decision, count)| samples.sample(&[name, decision], count));
    });
    let mut samples = all.family(&m::RAMP_SHARE);
    for (name, deployed) in services {
        let percent = deployed.service.ramp().map_or(0, |ramp| ramp.percent());
        samples.sample(&[name], f64::from(percent) / 100.0);
    }
}
