//! Traces as requests of OTLP: `ExportTraceServiceRequest`, written at once from our own spans.
//!
//! Fields have the numbers of `trace.proto`. The tests read it with the published types.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use span::{Kept, Kind, More, Told, Trace};

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
pub(crate) fn requests(traces: &[Kept], sources: &mut Sources) -> Vec<Request> {
    let clock = Clock::now();
    let spans = traces.iter().flat_map(|trace| trace.spans.iter().map(move |span| (&**trace, &**span)));
    let spans = spans.map(|(trace, span)| (span.source(), (trace, span)));
    sources.requests(spans, |wire, (trace, span)| write(wire, trace, *span, &clock))
}

fn write(wire: &mut Wire, trace: &Trace, span: &dyn Told, clock: &Clock) {
    let head = span.head();
    let sampled = u32::from(trace.sampled);
    wire.message(2, |wire| {
        wire.raw(&ids(trace.trace_id, head.id));
        if let Some(state) = trace.tracestate.as_deref() {
            wire.field(3, state.as_bytes());
        }
        if let Some(parent) = head.parent {
            wire.field(4, &parent.to_be_bytes());
        }
        name(wire, 5, head.name);
        wire.uint(6, kind(head.kind));
        let more = span.more();
        let (began, ended) = match more.and_then(|more| more.times) {
            Some((began, ended)) => (nanos(began), nanos(ended)),
            None => (clock.nanos(head.began), clock.nanos(head.ended)),
        };
        wire.raw(&times(began, ended));
        span.each(&mut |key, value| attribute(wire, 9, key, value));
        if let Some(error) = head.error {
            attribute(wire, 9, "error.type", error);
        }
        if let Some(more) = more {
            rest(wire, more, sampled);
        }
        if head.error.is_some() {
            wire.message(15, |wire| wire.uint(3, STATUS_ERROR));
        }
        wire.fixed32(16, sampled | IS_REMOTE_KNOWN | if head.remote_parent { IS_REMOTE } else { 0 });
    });
}

/// Fields 1 and 2 of a span, both of bytes.
fn ids(trace: u128, span: u64) -> [u8; 28] {
    let mut bytes = [0; 28];
    (bytes[0], bytes[1], bytes[18], bytes[19]) = (0x0a, 16, 0x12, 8);
    bytes[2..18].copy_from_slice(&trace.to_be_bytes());
    bytes[20..].copy_from_slice(&span.to_be_bytes());
    bytes
}

/// Fields 7 and 8, both of eight bytes.
fn times(began: u64, ended: u64) -> [u8; 18] {
    let mut bytes = [0; 18];
    (bytes[0], bytes[9]) = (0x39, 0x41);
    bytes[1..9].copy_from_slice(&began.to_le_bytes());
    bytes[10..].copy_from_slice(&ended.to_le_bytes());
    bytes
}

/// What few spans have.
fn rest(wire: &mut Wire, more: &More, sampled: u32) {
    for (key, value) in &more.attributes {
        attribute(wire, 9, key, value.said());
    }
    if more.dropped > 0 {
        wire.uint(10, more.dropped.into());
    }
    for event in &more.events {
        wire.message(11, |wire| {
            wire.fixed64(1, nanos(event.at));
            wire.field(2, event.name.as_bytes());
            event.attributes.iter().for_each(|(key, value)| attribute(wire, 3, key, value.said()));
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
        let between =
            |from: Instant, to: Instant| u64::try_from(to.duration_since(from).as_nanos()).unwrap_or(u64::MAX);
        match at <= self.moment {
            true => self.day_nanos.saturating_sub(between(at, self.moment)),
            false => self.day_nanos.saturating_add(between(self.moment, at)),
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
