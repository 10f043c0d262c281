//! The part of `GET /metrics` about services and their builds.

use crate::{
    deploy::{Deployed, Remotes, Services},
    service::Traffic,
    system::Current,
    telemetry::{
        counts::ServiceCounts,
        exposition::{Exposition, Samples},
        metrics::{self as m, Family},
    },
};
use backend::upstream::Health;

/// What is counted of every service, here or elsewhere.
struct Counted<'a> {
    name: &'a str,
    traffic: &'a Traffic,
    counts: &'a ServiceCounts,
    in_flight: usize,
    is_resting: bool,
}

fn every(now: &Current) -> impl Iterator<Item = Counted<'_>> {
    let here = now.services.iter().map(|(name, of)| Counted {
        name,
        traffic: of.service.traffic(),
        counts: of.service.counts(),
        in_flight: of.service.in_flight(),
        is_resting: of.service.is_resting(),
    });
    here.chain(now.remotes.iter().map(|(name, of)| Counted {
        name,
        traffic: of.remote.traffic(),
        counts: of.remote.counts(),
        in_flight: of.remote.in_flight(),
        is_resting: of.remote.is_resting(),
    }))
}

pub(super) fn requests(all: &mut Exposition, now: &Current) {
    let services = &now.services;
    let mut samples = all.family(&m::SERVICE_REQUESTS);
    every(now).for_each(|of| samples.sample(&[of.name], of.traffic.requests()));
    let mut samples = all.family(&m::SERVICE_ERRORS);
    every(now).for_each(|of| samples.sample(&[of.name], of.traffic.errors()));
    let mut samples = all.family(&m::SERVICE_DURATION);
    every(now).for_each(|of| samples.histogram(&[of.name], &of.traffic.duration.read()));
    let mut samples = all.family(&m::SERVICE_IN_FLIGHT);
    every(now).for_each(|of| samples.sample(&[of.name], of.in_flight));
    each(all, services, &m::SERVICE_IDLE, |of| of.service.idle_instances() as u64);
    each(all, services, &m::SERVICE_INSTANCES, |of| of.service.counts().instances.get());
}

pub(super) fn counted(all: &mut Exposition, now: &Current) {
    let services = &now.services;
    let mut samples = all.family(&m::SERVICE_TROUBLES);
    every(now)
        .for_each(|of| of.counts.troubles.each().for_each(|(kind, count)| samples.sample(&[of.name, kind], count)));
    let mut samples = all.family(&m::SERVICE_RESTING);
    every(now).for_each(|of| samples.sample(&[of.name], u8::from(of.is_resting)));
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
    each(all, services, &m::GRANTS_UNUSED, |of| of.settings.grants.unused().0.len() as u64);
}

pub(super) fn elsewhere(all: &mut Exposition, remotes: &Remotes) {
    let reports: Vec<_> = remotes.iter().map(|(name, of)| (name, of.remote.upstream.report())).collect();
    let mut samples = all.family(&m::UPSTREAM_ADDRESSES);
    for (name, addresses) in &reports {
        for health in Health::ALL {
            let count = addresses.iter().filter(|address| address.health == health).count();
            samples.sample(&[name, health.as_str()], count);
        }
    }
    let mut samples = all.family(&m::UPSTREAM_CONNECTIONS);
    for (name, addresses) in &reports {
        samples.sample(&[name], addresses.iter().map(|address| address.connections).sum::<usize>());
    }
    let mut samples = all.family(&m::UPSTREAM_RETRIES);
    remotes.iter().for_each(|(name, of)| samples.sample(&[name], of.remote.upstream.retries()));
}

pub(super) fn builds(all: &mut Exposition, services: &Services) {
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
