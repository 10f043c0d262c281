//! All recordings of a host, and what waits of them to be sent.
//!
//! Decides whether anything is recorded at all, and how much may wait: what finds no room is dropped and
//! counted. Nobody who works for a request ever waits here.

use std::{
    collections::VecDeque,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc};

use crate::{Recording, Sampling, Source, Trace, sampling::AtomicSampling};

/// Spans that may wait to be sent.
pub const QUEUE_MAX_SPANS: usize = 2048;
/// Spans of all requests that are not over yet.
const HELD_MAX_SPANS: usize = 65_536;
/// Traces that a follower may be behind.
const FOLLOWER_MAX_TRACES: usize = 64;
/// Who may follow at once.
const FOLLOWERS_MAX: usize = 8;

/// What is recorded, and what of it is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Somebody will send what is kept.
    pub sends: bool,
    pub sampling: Sampling,
    /// What takes longer is kept, sampled or not.
    pub slow: Duration,
}

/// Counts from the start on, in spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken by a collector.
    pub sent: u64,
    /// For want of room, or of a collector.
    pub dropped: u64,
    /// Waiting.
    pub queued: u64,
}

#[derive(Debug)]
pub struct Recorder {
    own: Arc<Source>,
    /// Somebody sends what is kept.
    sends: AtomicBool,
    /// Somebody looks on.
    followed: AtomicBool,
    /// What comes finds no room: until some of it has gone, nothing is recorded for it.
    full: AtomicBool,
    sampling: AtomicSampling,
    slow_nanos: AtomicU64,
    held: AtomicUsize,
    queue: Mutex<Queue>,
    full_enough: Notify,
    followers: Mutex<Vec<mpsc::Sender<Arc<Trace>>>>,
    sent: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    traces: VecDeque<Kept>,
    spans: usize,
}

/// A trace that waits to be sent. Those who follow may look at it, too.
#[derive(Debug)]
pub enum Kept {
    Alone(Trace),
    Shown(Arc<Trace>),
}

impl Deref for Kept {
    type Target = Trace;

    fn deref(&self) -> &Trace {
        match self {
            Self::Alone(trace) => trace,
            Self::Shown(trace) => trace,
        }
    }
}

/// Sees traces that are kept, as they end, and misses those for which it is too slow.
#[derive(Debug)]
pub struct Follower(mpsc::Receiver<Arc<Trace>>);

impl Follower {
    /// The next one. Cancel safe.
    pub async fn next(&mut self) -> Option<Arc<Trace>> {
        self.0.recv().await
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { sends: false, sampling: Sampling::default(), slow: Duration::from_secs(1) }
    }
}

impl Recorder {
    /// `own` is whose spans those are that are no component's.
    pub fn new(own: Arc<Source>, settings: Settings) -> Arc<Self> {
        let recorder = Self {
            own,
            sends: AtomicBool::new(settings.sends),
            followed: AtomicBool::new(false),
            full: AtomicBool::new(false),
            sampling: AtomicSampling::new(settings.sampling),
            slow_nanos: AtomicU64::new(nanos(settings.slow)),
            held: AtomicUsize::new(0),
            queue: Mutex::default(),
            full_enough: Notify::new(),
            followers: Mutex::default(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        };
        Arc::new(recorder)
    }

    /// Nobody wants anything of it, for whoever has nothing to tell.
    pub fn off() -> Arc<Self> {
        Self::new(Source::new("archipel", ""), Settings::default())
    }

    /// Whose spans those are that are no component's.
    pub fn own(&self) -> &Arc<Source> {
        &self.own
    }

    /// From the next request on.
    pub fn configure(&self, settings: Settings) {
        self.sends.store(settings.sends, Relaxed);
        self.sampling.store(settings.sampling);
        self.slow_nanos.store(nanos(settings.slow), Relaxed);
    }

    /// Whether the trace is sampled, and its recording if anybody wants to know of it. `parent` is what the
    /// caller has decided, if there is one.
    pub fn begin(
        self: &Arc<Self>,
        trace_id: u128,
        parent: Option<bool>,
        tracestate: Option<&str>,
    ) -> (bool, Option<Recording>) {
        let sampled = self.sampling.load().decides(trace_id, parent);
        if !self.is_wanted() {
            return (sampled, None);
        }
        if self.full.load(Relaxed) && !self.followed.load(Relaxed) {
            // Of at least one span.
            self.dropped.fetch_add(1, Relaxed);
            return (sampled, None);
        }
        let recording = Recording::new(self.clone(), trace_id, sampled, tracestate.map(Into::into));
        (sampled, Some(recording))
    }

    /// Kept whatever is sampled: something that the host did on nobody's behalf.
    pub fn alone(self: &Arc<Self>) -> Option<Recording> {
        self.is_wanted().then(|| Recording::new(self.clone(), fastrand::u128(1..), true, None))
    }

    fn is_wanted(&self) -> bool {
        self.sends.load(Relaxed) || self.followed.load(Relaxed)
    }

    /// Traces as they end, from now on; none when there are too many who look.
    pub fn follow(&self) -> Option<Follower> {
        let mut followers = lock(&self.followers);
        followers.retain(|follower| !follower.is_closed());
        if followers.len() >= FOLLOWERS_MAX {
            return None;
        }
        let (sender, receiver) = mpsc::channel(FOLLOWER_MAX_TRACES);
        followers.push(sender);
        self.followed.store(true, Relaxed);
        Some(Follower(receiver))
    }

    /// Spans that wait, up to about `most`; ends when there are so many, or after `within`. Cancel safe.
    pub async fn take(&self, most: usize, within: Duration) -> Vec<Kept> {
        let enough = async {
            loop {
                let more = self.full_enough.notified();
                if lock(&self.queue).spans >= most {
                    return;
                }
                more.await;
            }
        };
        // Whichever it was: what is there is taken.
        let _ = tokio::time::timeout(within, enough).await;
        self.take_now(most)
    }

    /// What waits already, up to about `most` spans.
    pub fn take_now(&self, most: usize) -> Vec<Kept> {
        let mut queue = lock(&self.queue);
        let mut taken = Vec::with_capacity(queue.traces.len().min(most));
        let mut spans = 0;
        while spans < most
            && let Some(trace) = queue.traces.pop_front()
        {
            spans += trace.spans.len();
            taken.push(trace);
        }
        queue.spans -= spans;
        self.full.store(false, Relaxed);
        taken
    }

    /// Spans that were taken have arrived.
    pub fn sent(&self, spans: usize) {
        self.sent.fetch_add(spans as u64, Relaxed);
    }

    /// Spans that were taken could not be sent.
    pub fn lost(&self, spans: usize) {
        self.dropped.fetch_add(spans as u64, Relaxed);
    }

    pub fn counts(&self) -> Counts {
        Counts {
            sent: self.sent.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            queued: lock(&self.queue).spans as u64,
        }
    }

    pub(crate) fn is_slow(&self, began: Instant, ended: Instant) -> bool {
        nanos(ended.saturating_duration_since(began)) >= self.slow_nanos.load(Relaxed)
    }

    /// A place for one more span of a request that is not over.
    pub(crate) fn hold(&self) -> bool {
        if self.held.fetch_add(1, Relaxed) < HELD_MAX_SPANS {
            return true;
        }
        self.held.fetch_sub(1, Relaxed);
        false
    }

    pub(crate) fn release(&self, spans: usize, left_out: u32) {
        self.held.fetch_sub(spans, Relaxed);
        if left_out > 0 {
            self.dropped.fetch_add(left_out.into(), Relaxed);
        }
    }

    pub(crate) fn keep(&self, trace: Trace) {
        let trace = self.show(trace);
        if !self.sends.load(Relaxed) {
            return;
        }
        let spans = trace.spans.len();
        let mut queue = lock(&self.queue);
        if queue.spans + spans > QUEUE_MAX_SPANS {
            self.full.store(true, Relaxed);
            drop(queue);
            self.dropped.fetch_add(spans as u64, Relaxed);
            return;
        }
        queue.spans += spans;
        queue.traces.push_back(trace);
        let enough = queue.spans >= QUEUE_MAX_SPANS / 4;
        drop(queue);
        if enough {
            self.full_enough.notify_waiters();
        }
    }

    /// To those who follow, if there are any.
    fn show(&self, trace: Trace) -> Kept {
        if !self.followed.load(Relaxed) {
            return Kept::Alone(trace);
        }
        let mut followers = lock(&self.followers);
        let shown = Arc::new(trace);
        followers.retain(|follower| {
            let sent = follower.try_send(shown.clone());
            !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
        });
        self.followed.store(!followers.is_empty(), Relaxed);
        drop(followers);
        Kept::Shown(shown)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Span};

    fn recorder(ratio: f64) -> Arc<Recorder> {
        let sampling = Sampling { ratio, by_parent: true };
        Recorder::new(own(), Settings { sends: true, sampling, slow: Duration::from_millis(100) })
    }

    fn own() -> Arc<Source> {
        Source::new("gateway", "1")
    }

    fn span(kind: Kind, took: Duration) -> Span {
        let mut span = Span::new(own(), kind, "GET");
        span.ended = span.began + took;
        span
    }

    #[test]
    fn what_is_not_sampled_is_kept_when_it_failed_or_took_long() {
        let recorder = recorder(0.0);
        let kept = |spans: Vec<Span>| {
            let recording = recorder.begin(1, None, None).1.expect("somebody wants it");
            spans.into_iter().for_each(|span| recording.add(Box::new(span)));
            drop(recording);
            recorder.take_now(100).len()
        };
        let quick = || span(Kind::Server, Duration::from_millis(1));
        assert_eq!(kept(vec![quick(), quick()]), 0);
        assert_eq!(kept(vec![quick(), span(Kind::Server, Duration::from_millis(100))]), 1);
        assert_eq!(kept(vec![span(Kind::Client, Duration::from_secs(1)), quick()]), 0, "its server says it too");
        let mut failed = quick();
        failed.fail("500");
        assert_eq!(kept(vec![failed, quick()]), 1);
        let mut refused = span(Kind::Client, Duration::ZERO);
        refused.fail("404");
        assert_eq!(kept(vec![refused]), 0);
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let recorder = recorder(1.0);
        let mut recorded = 0;
        for trace in 1..=3000 {
            // Once there is no room, nothing is recorded for it.
            let Some(recording) = recorder.begin(trace, None, None).1 else { continue };
            recording.add(Box::new(span(Kind::Server, Duration::ZERO)));
            recorded += 1;
        }
        assert_eq!(recorded, QUEUE_MAX_SPANS + 1);
        let counts = Counts { sent: 0, dropped: 3000 - QUEUE_MAX_SPANS as u64, queued: QUEUE_MAX_SPANS as u64 };
        assert_eq!(recorder.counts(), counts);
        assert_eq!(recorder.take_now(512).len(), 512);
        recorder.sent(512);
        let left = QUEUE_MAX_SPANS as u64 - 512;
        assert_eq!(recorder.counts(), Counts { sent: 512, dropped: 3000 - QUEUE_MAX_SPANS as u64, queued: left });
        let endless = recorder.begin(1, None, None).1.expect("somebody wants it");
        (0..1000).for_each(|_| endless.add(Box::new(span(Kind::Client, Duration::ZERO))));
        drop(endless);
        let traces = recorder.take_now(10_000);
        let last = traces.last().expect("it was kept");
        assert_eq!((last.spans.len(), last.left_out), (256, 744));
    }

    #[test]
    fn nothing_is_recorded_when_nobody_wants_it_and_followers_see_what_ends() {
        let recorder = Recorder::new(own(), Settings::default());
        assert!(recorder.begin(1, None, None).1.is_none());
        let mut follower = recorder.follow().expect("few follow");
        let recording = recorder.begin(7, Some(true), Some("a=1")).1.expect("somebody follows");
        recording.add(Box::new(span(Kind::Server, Duration::ZERO)));
        drop(recording);
        let shown = follower.0.try_recv().expect("it has ended");
        assert_eq!((shown.trace_id, shown.tracestate.as_deref()), (7, Some("a=1")));
        assert_eq!(recorder.counts(), Counts::default(), "nobody sends, so nothing waits and nothing is lost");
        drop(follower);
        if let Some(recording) = recorder.begin(1, None, None).1 {
            recording.add(Box::new(span(Kind::Server, Duration::ZERO)));
        }
        assert!(recorder.begin(1, None, None).1.is_none());
    }
}
