//! How a guest asks for anything: what all its capabilities share.
//!
//! The log says of what it was not allowed to do a few lines a second for each service, however often it
//! tries.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use gateway::context::{RequestContext, TraceContext};
use span::{Active, Kind, Source, Value};

use crate::telemetry::counts::{PermissionKey, ServiceCounts};
use grant::{Denied, Grants, Permission};

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

/// How one instance asks the host for anything: what it may, until when, and who is told when it may not.
/// All its capabilities share one.
pub struct Asking {
    pub grants: Arc<Grants>,
    /// Whose spans its work is.
    source: Arc<Source>,
    counts: Arc<ServiceCounts>,
    denials: Arc<Denials>,
    serving: Mutex<Option<Serving>>,
}

/// On whose behalf it asks.
#[derive(Clone)]
struct Serving {
    cx: Arc<RequestContext>,
    deadline: Instant,
    /// Spans that the guest has begun, the latest last.
    begun: Vec<u64>,
}

/// Of what it has asked for, as much as is told of a failure.
const ASKED_TOLD_MAX: usize = 4;
/// Spans that a guest may have begun at once; of more it is not known that they go on.
const BEGUN_MAX: usize = 64;

impl Asking {
    pub fn new(
        grants: Arc<Grants>,
        source: Arc<Source>,
        counts: Arc<ServiceCounts>,
        denials: Arc<Denials>,
    ) -> Arc<Self> {
        Arc::new(Self { grants, source, counts, denials, serving: Mutex::default() })
    }

    /// From now on it asks on behalf of `cx`, and is answered by `deadline`.
    pub fn begin(&self, cx: Arc<RequestContext>, deadline: Instant) {
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Serving { cx, deadline, begun: Vec::new() });
    }

    /// By when an answer must be there: at once between two requests.
    pub fn deadline(&self) -> Instant {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        serving.as_ref().map_or_else(Instant::now, |serving| serving.deadline)
    }

    /// The request that is being served.
    pub fn request(&self) -> Option<Arc<RequestContext>> {
        self.serving().map(|serving| serving.cx)
    }

    /// What it does now, as a span within that of the request; nothing where nobody wants to know.
    pub(super) fn span(&self, kind: Kind, name: impl FnOnce() -> Value) -> Active {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Serving { cx, begun, .. }) = &*serving else { return Active::default() };
        let parent = begun.last().copied().unwrap_or(cx.trace.span_id);
        Active::begin(cx.spans.as_ref(), &self.source, kind, parent, name)
    }

    /// What it has asked for at last on behalf of its request, in order, as far as it is recorded.
    pub fn asked_last(&self) -> Vec<String> {
        let cx = self.request();
        let spans = cx.as_ref().and_then(|cx| cx.spans.as_ref());
        spans.map(|spans| spans.last_of(&self.source, ASKED_TOLD_MAX)).unwrap_or_default()
    }

    /// Whose spans its work is.
    pub(super) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The span that the guest is in: its own latest, or that of its run.
    pub(super) fn within(&self) -> Option<u64> {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        serving.as_ref().map(|serving| serving.begun.last().copied().unwrap_or(serving.cx.trace.span_id))
    }

    /// The guest has begun a span.
    pub(super) fn enter(&self, span_id: u64) {
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(begun) = serving.as_mut().map(|serving| &mut serving.begun).filter(|begun| begun.len() < BEGUN_MAX)
        {
            begun.push(span_id);
        }
    }

    /// The guest has ended a span; those that it began within and forgot are over, too.
    pub(super) fn leave(&self, span_id: u64) {
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Serving { begun, .. }) = &mut *serving else { return };
        if let Some(at) = begun.iter().rposition(|begun| *begun == span_id) {
            begun.truncate(at);
        }
    }

    /// Counts a refusal, and says in the log which line would allow it.
    pub(super) fn tell<P: Permission>(&self, denied: &Denied) {
        self.counts.denied.count(PermissionKey::of::<P>());
        self.denials.tell(denied, self.serving().as_ref().map(|serving| &serving.cx.trace));
    }

    fn serving(&self) -> Option<Serving> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// As long as a name in a manifest may be: what is longer was never granted.
pub(super) const NAME_MAX_BYTES: usize = 63;

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
