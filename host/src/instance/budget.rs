//! How long a guest may run, and when it must let others run.
//!
//! A guest runs inside the task of its request, so its CPU time is the time that task's polls
//! take: what it waits in host calls costs it nothing. The engine's epoch interrupts it; the
//! callback asks [`Budget::at_tick`] what to do. Nothing here looks at what the guest does.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::UpdateDeadline;

use crate::engine::Clock;

/// Ticks a guest runs before it yields while it is new: short, so that many that start at once
/// delay a neighbour little.
const LIGHT_SLICE: u64 = 2;
/// Ticks a guest runs before it yields once it holds a heavy permit.
const HEAVY_SLICE: u64 = 5;
/// Ticks of CPU after which a guest goes on only under a heavy permit.
const LIGHT_MAX: u64 = 10;

/// Why the host stopped a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    #[error("it used more CPU than `limits.cpu` allows")]
    Cpu,
    #[error("it ran past its deadline")]
    Deadline,
}

/// The CPU and the wall clock of the request an instance is working on.
#[derive(Debug)]
pub struct Budget {
    clock: Arc<Clock>,
    heavy: Arc<Semaphore>,
    /// Held while running past [`LIGHT_MAX`], given back whenever a poll ends.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    /// The tick at which the current poll began.
    running_since: AtomicU64,
    /// Ticks used in earlier polls of this request.
    spent: AtomicU64,
    cpu_max: AtomicU64,
    deadline: AtomicU64,
}

impl Budget {
    pub fn new(clock: Arc<Clock>, heavy: Arc<Semaphore>) -> Self {
        Self {
            clock,
            heavy,
            permit: Mutex::new(None),
            running_since: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            cpu_max: AtomicU64::new(u64::MAX),
            deadline: AtomicU64::new(u64::MAX),
        }
    }

    /// A new request begins: nothing is spent yet. `cpu` and `wall` are in ticks from now.
    pub fn arm(&self, cpu: u64, wall: u64) {
        self.spent.store(0, Relaxed);
        self.cpu_max.store(cpu, Relaxed);
        self.deadline.store(self.clock.now().saturating_add(wall), Relaxed);
    }

    /// A poll of the guest begins on this thread.
    pub fn resume(&self) {
        self.running_since.store(self.clock.now(), Relaxed);
    }

    /// The poll has ended: the guest waits, or is done.
    pub fn pause(&self) {
        let ran = self.clock.now().saturating_sub(self.running_since.load(Relaxed));
        let spent = self.spent.load(Relaxed) + ran;
        self.spent.store(spent, Relaxed);
        if spent >= LIGHT_MAX {
            self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// What becomes of a guest that is running when its epoch deadline passes.
    pub fn at_tick(self: &Arc<Self>) -> wasmtime::Result<UpdateDeadline> {
        let now = self.clock.now();
        let ran = now.saturating_sub(self.running_since.load(Relaxed));
        let spent = self.spent.load(Relaxed) + ran;
        if now >= self.deadline.load(Relaxed) {
            return Err(Stopped::Deadline.into());
        }
        if spent > self.cpu_max.load(Relaxed) {
            return Err(Stopped::Cpu.into());
        }
        let slice = if spent < LIGHT_MAX { LIGHT_SLICE } else { HEAVY_SLICE };
        if ran < slice {
            // It was parked in a host call while the epoch moved on.
            return Ok(UpdateDeadline::Continue(slice - ran));
        }
        let turn = self.clone();
        Ok(UpdateDeadline::YieldCustom(slice, Box::pin(async move { turn.next_turn().await })))
    }

    /// Ends when it is this guest's turn again. Cancel safe.
    async fn next_turn(&self) {
        tokio::task::yield_now().await;
        if self.spent.load(Relaxed) < LIGHT_MAX {
            return;
        }
        // Closed never: the engine owns the semaphore and outlives every instance.
        if let Ok(permit) = self.heavy.clone().acquire_owned().await {
            *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Arc<Budget> {
        Arc::new(Budget::new(Arc::default(), Arc::new(Semaphore::new(1))))
    }

    #[test]
    fn a_guest_past_its_cpu_limit_is_stopped() {
        let budget = budget();
        budget.arm(3, 1000);
        budget.resume();
        budget.spent.store(4, Relaxed);
        let error = budget.at_tick().err().expect("stopped");
        assert_eq!(error.downcast_ref::<Stopped>(), Some(&Stopped::Cpu));
    }

    #[test]
    fn a_guest_that_was_parked_goes_on_without_yielding() {
        let budget = budget();
        budget.arm(1000, 1000);
        budget.resume();
        assert!(matches!(budget.at_tick(), Ok(UpdateDeadline::Continue(LIGHT_SLICE))));
    }

    #[test]
    fn the_heavy_permit_is_given_back_when_the_guest_waits() {
        let budget = budget();
        budget.arm(1000, 1000);
        budget.spent.store(LIGHT_MAX, Relaxed);
        budget.resume();
        let permit = budget.heavy.clone().try_acquire_owned().expect("free");
        *budget.permit.lock().expect("not poisoned") = Some(permit);
        budget.pause();
        assert_eq!(budget.heavy.available_permits(), 1);
    }
}
