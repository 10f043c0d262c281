//! Making an instance of a version, and waiting a little where there is no room for one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{PoolConcurrencyLimitError, Store};

use super::{Failure, Version, guarded::Guarded, trap::unborn};
use crate::instance::{Exported, Instance, InstanceState, Refusal, Scope};

/// How long an instance that could not be made for want of room is waited for.
const ROOM_WAIT: Duration = Duration::from_millis(250);

impl Version {
    /// One instance on trial: proves that the component starts within its limits.
    pub async fn try_start(self: &Arc<Self>) -> Result<(), Failure> {
        let limits = self.limits();
        let scope = Scope { trace_id: 0, deadline: Instant::now() + limits.timeout, cpu: limits.cpu };
        let instance = instantiate(self, scope).await?;
        self.keep(instance);
        Ok(())
    }
}

/// Makes an instance of `version`; waits a little for room where there is none.
///
/// Cancel safe: a store that is half made is dropped.
pub(super) async fn instantiate(version: &Arc<Version>, scope: Scope) -> Result<Instance, Failure> {
    let engine = &version.blueprint.engine;
    let until = scope.deadline.min(Instant::now() + ROOM_WAIT);
    loop {
        // Made before the attempt, so that no instance freed meanwhile is missed.
        let freed = engine.freed.notified();
        let no_room = match try_instantiate(version, scope).await {
            Err(Failure::NoRoom(reason)) => reason,
            decided => return decided,
        };
        if engine.idle.give_up() && Instant::now() < until {
            continue;
        }
        if tokio::time::timeout_at(until.into(), freed).await.is_err() || Instant::now() >= until {
            return Err(Failure::NoRoom(no_room));
        }
    }
}

async fn try_instantiate(version: &Arc<Version>, scope: Scope) -> Result<Instance, Failure> {
    let mut seat = version.blueprint.store();
    scope.arm(&seat.budget);
    seat.output.begin(scope.trace_id);
    let budget = seat.budget.clone();
    let making = Guarded::new(Box::pin(make(version, &mut seat.store)), budget);
    let Ok(made) = tokio::time::timeout_at(scope.deadline.into(), making).await else {
        return Err(Failure::DeadlineExceeded);
    };
    match made? {
        Ok(exported) => {
            version.counts().instances.count();
            Ok(seat.instance(exported))
        }
        Err(error) if error.is::<PoolConcurrencyLimitError>() => Err(Failure::NoRoom(error.to_string())),
        Err(error) => match seat.refusal() {
            Some(refusal @ Refusal::Host) => Err(Failure::NoRoom(refusal.to_string())),
            Some(refusal @ Refusal::Instance) => Err(Failure::trapped(refusal)),
            None => Err(unborn(&error, (&seat.lines, &seat.output))),
        },
    }
}

async fn make(version: &Version, store: &mut Store<InstanceState>) -> wasmtime::Result<Exported> {
    let instance = version.pre.instantiate_async(&mut *store).await?;
    let exports = &version.exports;
    let proxy = exports.proxy.as_ref().map(|proxy| proxy.load(&mut *store, &instance)).transpose()?;
    let quick = exports.quick.as_ref().map(|quick| quick.load(&mut *store, &instance)).transpose()?;
    let consumer = exports.consumer.as_ref().map(|consumer| consumer.load(&mut *store, &instance)).transpose()?;
    Ok(Exported { proxy, quick, consumer })
}
