//! `GET /metrics`: everything that is counted, as it is now.
//!
//! Reads numbers and asks nobody: what other programs must be asked (`lag`) is asked beside, and an
//! answer never waits for it. What is shown under which name is in `telemetry/metrics`.

mod lag;
mod services;

use std::{sync::Arc, time::SystemTime};

use gateway::{
    body::{self, Body},
    context::RequestContext,
    counts::ConnectionCounts,
    dispatch::{Dispatch, Dispatched},
};
use http::{Request, Response, header::CONTENT_TYPE};
use otlp::Metric;
use tokio::runtime::Handle;

use crate::{
    system::{Current, System},
    telemetry::{
        Lost, Process,
        exposition::{Exposition, Format},
        metrics as m,
    },
};
use backend::{Backends, events::TopicReport, postgres::PoolCounts};
use lag::Lags;

/// Where all numbers are.
pub(super) struct Metrics {
    system: Arc<System>,
    connections: Arc<ConnectionCounts>,
    lost: Lost,
    lags: Lags,
}

impl Dispatch for Metrics {
    fn dispatch(&self, _: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        Box::pin(async move {
            let format = Format::wanted(request.headers());
            let topics = self.lags.read(self.system.current().backends.events.as_ref()).await;
            let mut response = Response::new(body::full(self.written(format, &topics)));
            response.headers_mut().insert(CONTENT_TYPE, format.content_type());
            Ok(response)
        })
    }
}

impl Metrics {
    /// Other programs are asked on `runtime`.
    pub(super) fn new(system: Arc<System>, connections: Arc<ConnectionCounts>, lost: Lost, runtime: Handle) -> Self {
        Self { system, connections, lost, lags: Lags::new(runtime) }
    }

    /// The same for a collector.
    pub(super) async fn measured(&self) -> Vec<Metric> {
        let topics = self.lags.read(self.system.current().backends.events.as_ref()).await;
        let mut all = Exposition::numbers();
        self.all(&mut all, &topics);
        all.metrics()
    }

    fn written(&self, format: Format, topics: &[TopicReport]) -> String {
        let mut all = Exposition::new(format);
        self.all(&mut all, topics);
        all.text()
    }

    fn all(&self, all: &mut Exposition, topics: &[TopicReport]) {
        self.http(all);
        let now = self.system.current();
        services::requests(all, &now);
        services::counted(all, &now);
        services::elsewhere(all, &now.remotes);
        services::builds(all, &now.services);
        self.deploying(all);
        backends(all, &now.backends);
        events(all, &now, topics);
        self.host(all);
    }

    fn http(&self, all: &mut Exposition) {
        let (routes, counts) = (self.system.gateway.routes(), self.system.gateway.counts());
        let unmatched = (("none".to_owned(), Arc::from("none")), counts.unmatched.clone());
        let routes: Vec<_> = routes.into_iter().chain([unmatched]).collect();
        let mut samples = all.family(&m::HTTP_REQUESTS);
        for ((route, service), counts) in &routes {
            counts.each().for_each(|(method, class, count)| samples.sample(&[route, service, method, class], count));
        }
        let mut samples = all.family(&m::HTTP_DURATION);
        for ((route, service), counts) in &routes {
            samples.histogram_with(&[route, service], &counts.duration.read(), &counts.exemplars);
        }
        all.single(&m::HTTP_IN_FLIGHT, self.system.gateway.in_flight());
        let mut samples = all.family(&m::HTTP_REFUSED);
        counts.refused.each().for_each(|(reason, count)| samples.sample(&[reason], count));
        all.single(&m::CONNECTIONS_OPEN, self.connections.open());
        all.single(&m::CONNECTIONS, self.connections.accepted.get());
        all.single(&m::CONNECTIONS_REFUSED, self.connections.refused.get());
        let tunnels = &counts.tunnels;
        all.single(&m::TUNNELS_OPEN, tunnels.open());
        all.single(&m::TUNNELS, tunnels.opened.get());
        let mut samples = all.family(&m::TUNNEL_BYTES);
        samples.sample(&["in"], tunnels.bytes_in.get());
        samples.sample(&["out"], tunnels.bytes_out.get());
    }

    fn deploying(&self, all: &mut Exposition) {
        let counts = &self.system.loader().counts;
        let mut samples = all.family(&m::APPLIED);
        counts.applied.each().for_each(|(outcome, count)| samples.sample(&[outcome], count));
        let mut samples = all.family(&m::COMPILED);
        counts.compiled.each().for_each(|(cache, count)| samples.sample(&[cache], count));
    }

    fn host(&self, all: &mut Exposition) {
        let spans = self.system.recorder().counts();
        all.single(&m::SPANS_SENT, spans.sent);
        all.single(&m::SPANS_DROPPED, spans.dropped);
        all.single(&m::SPANS_QUEUED, spans.queued);
        let (records, metering) = (self.system.records(), &self.system.exporting().metering);
        all.single(&m::RECORDS_SENT, records.sent());
        all.single(&m::RECORDS_DROPPED, records.dropped());
        all.single(&m::METERINGS_SENT, metering.sent());
        all.single(&m::METERINGS_DROPPED, metering.dropped());
        let memory = self.system.loader().guest_memory();
        all.single(&m::GUEST_MEMORY, memory.used_bytes());
        all.single(&m::GUEST_MEMORY_MAX, memory.max_bytes());
        all.single(&m::LOG_LOST, self.lost.get());
        let mut samples = all.family(&m::CERTIFICATE);
        let certificates = self.system.certificates();
        let ends = certificates.iter().filter_map(|of| Some((&*of.owner, of.not_after?)));
        ends.for_each(|(owner, end)| samples.sample(&[owner], seconds(end)));
        all.family(&m::BUILD).sample(&[env!("CARGO_PKG_VERSION")], 1_u64);
        let Some(process) = Process::now() else { return };
        all.single(&m::CPU, process.cpu_seconds);
        all.single(&m::RESIDENT, process.resident_bytes);
        all.single(&m::VIRTUAL, process.virtual_bytes);
        all.single(&m::DESCRIPTORS, process.descriptors);
        all.single(&m::STARTED, process.started_seconds);
    }
}

fn backends(all: &mut Exposition, backends: &Backends) {
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
    let mut samples = all.family(&m::REDIS_CROWDED);
    backends.redis.all().for_each(|store| samples.sample(&[store.name()], store.crowded()));
    let mut samples = all.family(&m::STORE_BYTES);
    backends.keyvalue.usage().for_each(|(store, usage)| samples.sample(&[store], usage.held));
    let mut samples = all.family(&m::STORE_BYTES_MAX);
    backends.keyvalue.usage().for_each(|(store, usage)| samples.sample(&[store], usage.max));
}

fn events(all: &mut Exposition, now: &Current, topics: &[TopicReport]) {
    let published = now.backends.events.as_ref().map(|events| events.published()).unwrap_or_default();
    let mut samples = all.family(&m::EVENTS_PUBLISHED);
    published.iter().for_each(|(service, count)| samples.sample(&[service], *count));
    let mut samples = all.family(&m::EVENTS);
    for (name, deployed) in now.services.iter().filter(|(_, of)| of.settings.grants.subscription().is_some()) {
        let each = deployed.service.counts().events.each();
        each.for_each(|(outcome, count)| samples.sample(&[name, outcome], count));
    }
    let lags = || topics.iter().flat_map(|topic| topic.services.iter().map(|lag| (&*topic.topic, lag)));
    let mut samples = all.family(&m::EVENTS_LAG);
    lags().for_each(|(topic, lag)| {
        lag.lag.iter().for_each(|count| samples.sample(&[topic, &lag.service], *count));
    });
    let mut samples = all.family(&m::EVENTS_PENDING);
    lags().for_each(|(topic, lag)| samples.sample(&[topic, &lag.service], lag.pending));
    let mut samples = all.family(&m::OUTBOX_WAITING);
    now.backends.databases.outboxes().for_each(|outbox| samples.sample(&[outbox.database()], outbox.waiting()));
    let mut samples = all.family(&m::OUTBOX_HELD);
    now.backends
        .databases
        .outboxes()
        .for_each(|outbox| samples.sample(&[outbox.database()], u8::from(outbox.is_held())));
}

/// Since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
