//! The part of `GET /metrics` about services and their builds.

use crate::{
    deploy::{Deployed, Services},
    telemetry::{
        counts::ServiceCounts,
        exposition::{Exposition, Samples},
        metrics::{self as m, Family},
    },
};

pub(super) fn requests(all: &mut Exposition, services: &Services) {
    each(all, services, &m::SERVICE_REQUESTS, |of| of.service.traffic().requests());
    each(all, services, &m::SERVICE_ERRORS, |of| of.service.traffic().errors());
    let mut samples = all.family(&m::SERVICE_DURATION);
    services.iter().for_each(|(name, of)| samples.histogram(&[name], &of.service.traffic().duration.read()));
    each(all, services, &m::SERVICE_IN_FLIGHT, |of| of.service.in_flight() as u64);
    each(all, services, &m::SERVICE_IDLE, |of| of.service.idle_instances() as u64);
    each(all, services, &m::SERVICE_INSTANCES, |of| of.service.counts().instances.get());
}

pub(super) fn counted(all: &mut Exposition, services: &Services) {
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
    each(all, services, &m::GRANTS_UNUSED, |of| of.settings.grants.unused().0.len() as u64);
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
