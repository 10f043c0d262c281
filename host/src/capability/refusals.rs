//! What the log and the metrics say of what a guest was not allowed to do: a few lines a second for
//! each service, however often it tries.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use gateway::context::{RequestContext, TraceContext};

use crate::telemetry::counts::{Permission, ServiceCounts};
use grant::Denied;

/// Lines of one service in a [`WINDOW`].
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// The denials of one service.
#[derive(Debug, Default)]
pub struct Denials(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    lines: u32,
    untold: u64,
}

impl Denials {
    pub(super) fn tell(&self, denial: &Denied, trace: Option<&TraceContext>) {
        let Some(untold) = self.turn(Instant::now()) else { return };
        tracing::warn!(
            service = %denial.service,
            target = denial.target,
            rule = denial.rule,
            allow = denial.fix.line(),
            traceId = trace.map(tracing::field::display),
            untold,
            "{denial}"
        );
    }

    /// How many were kept quiet since the last line, if this one may be told.
    fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            (state.since, state.lines) = (Some(now), 0);
        }
        if state.lines == LINES_MAX {
            state.untold += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.untold))
    }
}

/// The refusals of one instance, which are told with the request that it is working on.
pub struct Refusals {
    counts: Arc<ServiceCounts>,
    denials: Arc<Denials>,
    serving: Mutex<Option<Arc<RequestContext>>>,
}

impl Refusals {
    pub fn new(counts: Arc<ServiceCounts>, denials: Arc<Denials>) -> Arc<Self> {
        Arc::new(Self { counts, denials, serving: Mutex::default() })
    }

    /// Refusals from now on belong to `cx`.
    pub fn begin(&self, cx: Arc<RequestContext>) {
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx);
    }

    pub(super) fn tell(&self, permission: Permission, denial: &Denied) {
        self.counts.denied.count(permission);
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.denials.tell(denial, serving.as_deref().map(|cx| &cx.trace));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_denials_in_a_second_are_ten_lines_and_the_next_tells_the_rest() {
        let denials = Denials::default();
        let now = Instant::now();
        assert_eq!((0..1000).filter(|_| denials.turn(now).is_some()).count(), 10);
        assert_eq!(denials.turn(now + WINDOW), Some(990));
        assert_eq!(denials.turn(now + WINDOW), Some(0));
    }
}
