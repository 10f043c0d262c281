//! One build of a service, ready to answer: what routes, swaps and ramps speak of.
//!
//! Decides nothing; whether it is live is its service's business.

use std::sync::{Arc, atomic::AtomicU32};

use span::Source;
use wasmtime::component::InstancePre;
use wasmtime_wasi_http::p2::bindings::ProxyIndices;

use super::{
    leave::{DrainLimit, Leave},
    warm::Warm,
};
use crate::{
    capability::{http::QuickDoorIndices, messaging::ConsumerIndices},
    component::Component,
    engine::GiveUp,
    instance::{Blueprint, Instance, InstanceState},
    telemetry::counts::ServiceCounts,
};
use backend::Backends;
use manifest::{Limits, ServiceSettings};

/// One build of a service's component, linked and ready; requests in flight keep theirs.
pub struct Version {
    /// `1.0.0+3f2a9c41d7e0`.
    pub label: http::HeaderValue,
    pub component: Arc<Component>,
    pub(super) pre: InstancePre<InstanceState>,
    pub(super) exports: Exports,
    pub(super) blueprint: Blueprint,
    pub(super) warm: Arc<Warm>,
    pub(super) leave: Arc<Leave>,
    /// How often better code for it was tried and did not come.
    pub refusals: AtomicU32,
}

/// Where what the host calls is found in an instance.
pub(super) struct Exports {
    pub(super) proxy: Option<ProxyIndices>,
    pub(super) quick: Option<QuickDoorIndices>,
    /// Of a component that handles events.
    pub(super) consumer: Option<ConsumerIndices>,
}

impl Version {
    /// # Errors
    /// When the component cannot be linked or does not export what it is called by as the host knows it.
    pub fn new(
        blueprint: Blueprint,
        component: Arc<Component>,
        drain: DrainLimit,
        linker: &wasmtime::component::Linker<InstanceState>,
    ) -> wasmtime::Result<Self> {
        let pre = linker.instantiate_pre(&component.compiled)?;
        let consumer = component.is_consumer().then(|| ConsumerIndices::new(&pre)).transpose()?;
        let doors = component.doors();
        let proxy = doors.standard.then(|| ProxyIndices::new(&pre)).transpose()?;
        let quick = doors.quick.then(|| QuickDoorIndices::new(&pre)).transpose()?;
        let exports = Exports { proxy, quick, consumer };
        let warm = Arc::new(Warm::new(blueprint.settings.limits.reuse));
        let keeper: Arc<dyn GiveUp> = warm.clone();
        blueprint.engine.idle.add(Arc::downgrade(&keeper));
        let (label, leave) = (http::HeaderValue::try_from(&*blueprint.source.version)?, Arc::new(Leave::new(drain)));
        Ok(Self { label, warm, component, pre, exports, blueprint, leave, refusals: AtomicU32::new(0) })
    }

    /// It is the same build as `before`, and leaves together with it.
    pub fn follow(&mut self, before: &Self) {
        self.leave = before.leave.clone();
    }

    /// What it runs with.
    pub fn settings(&self) -> &Arc<ServiceSettings> {
        &self.blueprint.settings
    }

    /// What it reaches.
    pub fn backends(&self) -> &Arc<Backends> {
        &self.blueprint.backends
    }

    /// The label as text.
    pub fn text(&self) -> &str {
        self.label.to_str().unwrap_or_default()
    }

    /// An instance goes back if it may serve again, and is dropped if not.
    pub(super) fn keep(&self, instance: Instance) {
        self.warm.keep(instance);
    }

    /// As who it is told of in traces.
    pub(super) fn source(&self) -> &Arc<Source> {
        &self.blueprint.source
    }

    pub(super) fn counts(&self) -> &Arc<ServiceCounts> {
        &self.blueprint.counts
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.blueprint.settings.limits
    }

    /// It gets no more requests: those it has may go on for `host.drain`, and nothing is kept for others.
    pub(super) fn withdraw(&self) {
        self.leave.begin();
        self.warm.retire(true);
    }

    /// It gets requests, perhaps again.
    pub(super) fn admit_requests(&self) {
        self.leave.take_back();
        self.warm.retire(false);
    }
}
