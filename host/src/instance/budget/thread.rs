//! What a thread has really run, where the clock alone would be unfair to whoever was on it.
//!
//! Asking the system costs more than reading the clock, so it is asked for long turns only, and now and then before
//! they begin.

use std::cell::Cell;

use rustix::time::{ClockId, clock_gettime};

/// A turn shorter than 5 ms is what the clock says.
const SHORT: u64 = 5_000_000;

thread_local! {
    /// When this thread looked last at what it had run, by the engine's clock, and what that was.
    static LOOKED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Before a turn that begins `now`.
pub(super) fn look(now: u64) {
    let (at, _) = LOOKED.get();
    if at == 0 || now.saturating_sub(at) > SHORT {
        LOOKED.set((now, ran_ever()));
    }
}

/// What this thread has run in a turn that took so long by the clock: at most [`SHORT`] too much. In nanoseconds.
pub(super) fn ran(by_the_clock: u64) -> u64 {
    if by_the_clock < SHORT {
        return by_the_clock;
    }
    let (_, before) = LOOKED.get();
    by_the_clock.min(ran_ever().saturating_sub(before))
}

fn ran_ever() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
