//! How long a guest may run, and when it must let others run.
//!
//! A guest runs inside the task of its request, so its CPU time is the time that task's polls
//! take: what it waits in host calls costs it nothing, nor does the time of a turn in which its thread stood still
//! (a busy machine, a container past its share). The engine's epoch interrupts it; the
//! callback asks [`Budget::at_tick`] what to do. Nothing here looks at what the guest does.

mod thread;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::UpdateDeadline;

use crate::engine::Clock;

/// What a guest runs before it yields while it is new: short, so that many that start at once
/// delay a neighbour little.
const LIGHT_SLICE: Duration = Duration::from_millis(2);
/// What a guest runs before it yields once it holds a heavy permit.
const HEAVY_SLICE: Duration = Duration::from_millis(5);
/// CPU after which a guest goes on only under a heavy permit.
const LIGHT_MAX: Duration = Duration::from_millis(10);

/// Why the host stopped a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    #[error("it used more CPU than `limits.cpu` allows")]
    Cpu,
    #[error("it ran past its deadline")]
    Deadline,
}

/// The CPU and the wall clock of the request an instance is working on. All times are
/// nanoseconds of the engine's clock.
#[derive(Debug)]
pub struct Budget {
    clock: Arc<Clock>,
    heavy: Arc<Semaphore>,
    /// Held while running past [`LIGHT_MAX`], given back whenever a poll ends.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    /// When the current turn began: a poll, or what came after a yield within one.
    running_since: AtomicU64,
    /// Used in earlier turns of this request.
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

    /// A new request begins: nothing is spent yet.
    pub fn arm(&self, cpu: Duration, deadline: Instant) {
        self.spent.store(0, Relaxed);
        self.cpu_max.store(nanos(cpu), Relaxed);
        self.deadline.store(self.clock.at(deadline), Relaxed);
    }

    /// What the request has used in polls that have ended.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Relaxed))
    }

    /// A poll of the guest begins on this thread.
    pub fn resume(&self) {
        let now = self.clock.now();
        thread::look(now);
        self.running_since.store(now, Relaxed);
    }

    /// The poll has ended: the guest waits, or is done.
    pub fn pause(&self) {
        if self.bill() >= nanos(LIGHT_MAX) {
            self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    /// Adds the turn that ends now to what is spent, and begins another.
    fn bill(&self) -> u64 {
        let now = self.clock.now();
        let ran = thread::ran(now.saturating_sub(self.running_since.swap(now, Relaxed)));
        self.spent.fetch_add(ran, Relaxed).saturating_add(ran)
    }

    /// What becomes of a guest that is running when its epoch deadline passes.
    pub fn at_tick(self: &Arc<Self>) -> wasmtime::Result<UpdateDeadline> {
        let now = self.clock.now();
        let ran = thread::ran(now.saturating_sub(self.running_since.load(Relaxed)));
        let spent = self.spent.load(Relaxed).saturating_add(ran);
        if now >= self.deadline.load(Relaxed) {
            return Err(Stopped::Deadline.into());
        }
        if spent > self.cpu_max.load(Relaxed) {
            return Err(Stopped::Cpu.into());
        }
        let light = spent < nanos(LIGHT_MAX);
        let slice = if light { LIGHT_SLICE } else { HEAVY_SLICE };
        let left = nanos(slice).saturating_sub(ran);
        if left > 0 && (light || self.has_permit()) {
            // It was parked in a host call while the epoch moved on.
            return Ok(UpdateDeadline::Continue(Clock::ticks(Duration::from_nanos(left))));
        }
        let turn = self.clone();
        let next = Box::pin(async move { turn.next_turn().await });
        Ok(UpdateDeadline::YieldCustom(Clock::ticks(slice), next))
    }

    /// Ends when it is this guest's turn again. Cancel safe.
    async fn next_turn(&self) {
        tokio::task::yield_now().await;
        if self.bill() >= nanos(LIGHT_MAX) {
            // Closed never: the engine owns the semaphore and outlives every instance.
            let permit = self.heavy.clone().acquire_owned().await.ok();
            *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
        }
        self.resume();
    }

    fn has_permit(&self) -> bool {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(1000);

    fn budget() -> Arc<Budget> {
        let budget = Budget::new(Arc::default(), Arc::new(Semaphore::new(1)));
        budget.arm(LONG, Instant::now() + LONG);
        budget.resume();
        Arc::new(budget)
    }

    #[test]
    fn a_guest_past_its_cpu_limit_is_stopped() {
        let budget = budget();
        budget.arm(Duration::from_millis(3), Instant::now() + LONG);
        budget.spent.store(nanos(Duration::from_millis(4)), Relaxed);
        let error = budget.at_tick().err().expect("stopped");
        assert_eq!(error.downcast_ref::<Stopped>(), Some(&Stopped::Cpu));
    }

    #[test]
    fn a_thread_that_stood_still_costs_its_guest_nothing() {
        let budget = budget();
        budget.arm(Duration::from_millis(100), Instant::now() + LONG);
        // To whoever looks at the clock it is the same: a turn of 300 ms in which the thread did nothing.
        std::thread::park_timeout(Duration::from_millis(300));
        assert!(budget.at_tick().is_ok());
        budget.pause();
        assert!(budget.spent() < Duration::from_millis(100), "{:?}", budget.spent());
    }

    #[test]
    fn what_a_guest_computes_is_counted() {
        let budget = budget();
        budget.arm(Duration::from_millis(30), Instant::now() + LONG);
        let deadline = Instant::now() + Duration::from_secs(20);
        while budget.at_tick().is_ok() {
            assert!(Instant::now() < deadline, "a loop without an end is stopped");
        }
        budget.pause();
        assert!(budget.spent() >= Duration::from_millis(30), "{:?}", budget.spent());
    }

    #[test]
    fn a_guest_past_its_deadline_is_stopped() {
        let budget = budget();
        budget.arm(LONG, Instant::now());
        let error = budget.at_tick().err().expect("stopped");
        assert_eq!(error.downcast_ref::<Stopped>(), Some(&Stopped::Deadline));
    }

    #[test]
    fn a_new_guest_that_was_parked_goes_on_without_yielding() {
        assert!(matches!(budget().at_tick(), Ok(UpdateDeadline::Continue(_))));
    }

    #[test]
    fn a_heavy_guest_that_parks_often_needs_a_permit_each_time() {
        let budget = budget();
        budget.spent.store(nanos(LIGHT_MAX), Relaxed);
        assert!(matches!(budget.at_tick(), Ok(UpdateDeadline::YieldCustom(..))));
    }

    #[test]
    fn the_heavy_permit_is_given_back_when_the_guest_waits() {
        let budget = budget();
        budget.spent.store(nanos(LIGHT_MAX), Relaxed);
        let permit = budget.heavy.clone().try_acquire_owned().expect("free");
        *budget.permit.lock().expect("not poisoned") = Some(permit);
        assert!(matches!(budget.at_tick(), Ok(UpdateDeadline::Continue(_))), "it may use its slice");
        budget.pause();
        assert_eq!(budget.heavy.available_permits(), 1);
    }
}
