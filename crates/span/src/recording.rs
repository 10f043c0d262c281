//! The spans of one request, while it goes on.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Instant,
};

use smallvec::SmallVec;

use crate::{Head, Kind, Recorder, Source, Told};

/// Spans of one request on one host; more are counted and left out.
pub const SPANS_MAX: usize = 256;
/// Of them, those that a guest makes itself: the host's own find the rest.
pub const GUEST_SPANS_MAX: usize = SPANS_MAX / 4 * 3;
/// What a request has done so far. Clones are the same recording; it is over when the last is dropped.
#[derive(Debug, Clone)]
pub struct Recording(Arc<Open>);

#[derive(Debug)]
struct Open {
    recorder: Arc<Recorder>,
    /// In halves: what has to lie at a multiple of sixteen is dear to allocate.
    trace_id: [u64; 2],
    sampled: bool,
    tracestate: Option<Box<str>>,
    spans: Mutex<Spans>,
    left_out: AtomicU32,
    keep: AtomicBool,
}

/// Each where it was made: a span is large, and is handed on. Most requests have as many as find room here.
pub type Spans = SmallVec<[Box<dyn Told>; 4]>;

/// The spans of one request, when it is over.
#[derive(Debug)]
pub struct Trace {
    pub trace_id: u128,
    /// It was to be kept from the start; else for what happened in it.
    pub sampled: bool,
    pub tracestate: Option<Box<str>>,
    /// In the order in which they ended.
    pub spans: Spans,
    /// How many were left out, for there were more than [`SPANS_MAX`].
    pub left_out: u32,
}

impl Recording {
    pub(crate) fn new(recorder: Arc<Recorder>, trace_id: u128, sampled: bool, tracestate: Option<Box<str>>) -> Self {
        Self(Arc::new(Open {
            recorder,
            trace_id: [(trace_id >> 64) as u64, trace_id as u64],
            sampled,
            tracestate,
            spans: Mutex::default(),
            left_out: AtomicU32::new(0),
            keep: AtomicBool::new(sampled),
        }))
    }

    /// One that failed or took long keeps the whole trace.
    pub fn add<T: Told + 'static>(&self, span: Box<T>) {
        self.push(span, SPANS_MAX);
    }

    /// One that a guest made.
    pub fn add_of_guest<T: Told + 'static>(&self, span: Box<T>) {
        self.push(span, GUEST_SPANS_MAX);
    }

    fn push<T: Told + 'static>(&self, span: Box<T>, max: usize) {
        let open = &*self.0;
        if !open.keep.load(Relaxed) && self.keeps(&span.head()) {
            open.keep.store(true, Relaxed);
        }
        let mut spans = open.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() < max && open.recorder.hold() {
            spans.push(span);
        } else {
            open.left_out.fetch_add(1, Relaxed);
        }
    }

    fn keeps(&self, span: &Head<'_>) -> bool {
        span.kind.is_entry() && (span.error.is_some() || self.0.recorder.is_slow(span.began, span.ended))
    }

    /// The names of the last `max` things that `source` has asked others for, in the order in which they ended.
    pub fn last_of(&self, source: &Arc<Source>, max: usize) -> Vec<String> {
        let spans = self.0.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let own = spans.iter().rev().filter(|span| span.source() == source).map(|span| span.head());
        let asked = own.filter(|span| matches!(span.kind, Kind::Client | Kind::Producer));
        let mut names: Vec<_> = asked.take(max).map(|span| span.name.to_string()).collect();
        names.reverse();
        names
    }

    /// Whose spans those are that are no component's.
    pub fn own(&self) -> &Arc<Source> {
        self.0.recorder.own()
    }

    /// Whether the trace will be kept, as far as is known: else nobody needs more of it.
    pub fn is_kept(&self) -> bool {
        self.0.keep.load(Relaxed)
    }

    /// Whether it would be with one more span like this.
    pub fn would_keep(&self, failed: bool, began: Instant, ended: Instant) -> bool {
        failed || self.is_kept() || self.0.recorder.is_slow(began, ended)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let spans = std::mem::take(self.spans.get_mut().unwrap_or_else(PoisonError::into_inner));
        let left_out = *self.left_out.get_mut();
        self.recorder.release(spans.len(), left_out);
        if spans.is_empty() || !*self.keep.get_mut() {
            return;
        }
        let tracestate = self.tracestate.take();
        let trace_id = u128::from(self.trace_id[0]) << 64 | u128::from(self.trace_id[1]);
        self.recorder.keep(Trace { trace_id, sampled: self.sampled, tracestate, spans, left_out });
    }
}
