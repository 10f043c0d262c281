//! Traces as requests of OTLP: `ExportTraceServiceRequest`, written at once from our own spans.
//!
//! Fields have the numbers of `trace.proto`. The tests read it with the published types.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use span::{Kind, More, Span, Trace};

use crate::{
    attribute::{attribute, name},
    sources::{Request, Sources},
    wire::Wire,
};

/// Bits of a span's flags besides those of the trace: whether its parent is elsewhere is known, and it is.
const IS_REMOTE_KNOWN: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// `STATUS_CODE_ERROR`.
const STATUS_ERROR: u64 = 2;

/// All spans of `traces`, in as many requests as they need.
pub(crate) fn requests(traces: &[Trace], sources: &mut Sources) -> Vec<Request> {
    let (clock, mut groups) = (Clock::now(), sources.groups());
    for trace in traces {
        for span in &trace.spans {
            groups.add(&span.source, |wire| write(wire, trace, span, &clock));
        }
    }
    groups.done()
}

fn write(wire: &mut Wire, trace: &Trace, span: &Span, clock: &Clock) {
    let sampled = u32::from(trace.sampled);
    let trace_id = trace.trace_id.to_be_bytes();
    wire.message(2, |wire| {
        wire.field(1, &trace_id);
        wire.field(2, &span.id.to_be_bytes());
        if let Some(state) = trace.tracestate.as_deref() {
            wire.field(3, state.as_bytes());
        }
        if let Some(parent) = span.parent {
            wire.field(4, &parent.to_be_bytes());
        }
        name(wire, 5, &span.name);
        wire.uint(6, kind(span.kind));
        let told = span.more.as_deref().and_then(|more| more.times);
        let (began, ended) = match told {
            Some((began, ended)) => (nanos(began), nanos(ended)),
            None => (clock.nanos(span.began), clock.nanos(span.ended)),
        };
        wire.fixed64(7, began);
        wire.fixed64(8, ended);
        for (key, value) in &span.attributes {
            attribute(wire, 9, key, value);
        }
        if let Some(error) = &span.error {
            attribute(wire, 9, "error.type", error);
        }
        if let Some(more) = span.more.as_deref() {
            rest(wire, more, sampled);
        }
        if span.error.is_some() {
            wire.message(15, |wire| wire.uint(3, STATUS_ERROR));
        }
        wire.fixed32(16, sampled | IS_REMOTE_KNOWN | if span.remote_parent { IS_REMOTE } else { 0 });
    });
}

/// What few spans have.
fn rest(wire: &mut Wire, more: &More, sampled: u32) {
    for (key, value) in &more.attributes {
        attribute(wire, 9, key, value);
    }
    if more.dropped > 0 {
        wire.uint(10, more.dropped.into());
    }
    for event in &more.events {
        wire.message(11, |wire| {
            wire.fixed64(1, nanos(event.at));
            wire.field(2, event.name.as_bytes());
            event.attributes.iter().for_each(|(key, value)| attribute(wire, 3, key, value));
        });
    }
    for link in &more.links {
        wire.message(13, |wire| {
            wire.field(1, &link.trace_id.to_be_bytes());
            wire.field(2, &link.span_id.to_be_bytes());
            wire.fixed32(6, sampled | IS_REMOTE_KNOWN);
        });
    }
}

fn kind(kind: Kind) -> u64 {
    match kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Producer => 4,
        Kind::Consumer => 5,
    }
}

/// One reading of both clocks, for all of a batch: so a trace stays in order.
struct Clock {
    /// Since 1970.
    day_nanos: u64,
    moment: Instant,
}

impl Clock {
    fn now() -> Self {
        Self { day_nanos: nanos(SystemTime::now()), moment: Instant::now() }
    }

    fn nanos(&self, at: Instant) -> u64 {
        let of = |apart: Duration| apart.as_secs() * 1_000_000_000 + u64::from(apart.subsec_nanos());
        match self.moment.checked_duration_since(at) {
            Some(ago) => self.day_nanos.saturating_sub(of(ago)),
            None => self.day_nanos.saturating_add(of(at.duration_since(self.moment))),
        }
    }
}

/// Since 1970; 0 before.
pub(crate) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
