//! Log lines that wait to be sent: written when they are told, bounded in bytes.
//!
//! Whoever tells a line never waits. What finds no room is dropped and counted; what guests print has no more than
//! half of the room, so that the host's own lines find the other half.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use span::Source;
use tokio::sync::Notify;

use crate::{
    Line,
    signal::Signal,
    sources::{Request, Sources},
    waiting::Waiting,
};

/// What may wait.
const WAITING_MAX_BYTES: usize = 4 << 20;
/// Of that, while lines of guests come.
const GUESTS_MAX_BYTES: usize = WAITING_MAX_BYTES / 2;
/// What a line costs besides its text.
const RECORD_BYTES: usize = size_of::<Record>();
/// How long lines gather at most.
const GATHER: Duration = Duration::from_secs(1);
/// As many go at once.
const BATCH_RECORDS: usize = 512;
/// Services that are known by name: they come and go.
const SOURCES_MAX: usize = 256;

/// All lines of a host on their way to a collector.
#[derive(Debug)]
pub struct Records {
    own: Arc<Source>,
    wanted: AtomicBool,
    queue: Mutex<Queue>,
    enough: Notify,
    sent: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    records: VecDeque<Record>,
    bytes: usize,
    sources: HashMap<Arc<str>, Arc<Source>>,
}

#[derive(Debug)]
pub(crate) struct Record {
    source: Arc<Source>,
    /// A `LogRecord`.
    written: Box<[u8]>,
}

impl Records {
    /// `own` is whose lines those are that name no service.
    pub fn new(own: Arc<Source>) -> Arc<Self> {
        Arc::new(Self {
            own,
            wanted: AtomicBool::new(false),
            queue: Mutex::default(),
            enough: Notify::new(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    /// Whether lines are kept, from the next one on.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Relaxed);
    }

    /// Asked before a line is made.
    #[inline]
    pub fn are_wanted(&self) -> bool {
        self.wanted.load(Relaxed)
    }

    /// Keeps a line of `service`, which a guest has printed or not.
    pub fn tell(&self, service: Option<&str>, is_guests: bool, line: &Line) {
        let written = line.written();
        let bytes = written.len() + RECORD_BYTES;
        let max = if is_guests { GUESTS_MAX_BYTES } else { WAITING_MAX_BYTES };
        let mut queue = self.lock();
        if queue.bytes + bytes > max {
            drop(queue);
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        let source = service.map_or_else(|| self.own.clone(), |name| queue.source(name));
        queue.records.push_back(Record { source, written });
        queue.bytes += bytes;
        let is_enough = queue.records.len() == BATCH_RECORDS;
        drop(queue);
        if is_enough {
            self.enough.notify_waiters();
        }
    }

    /// Taken by a collector.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// For want of room, or of a collector.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    fn take(&self) -> Vec<Record> {
        let mut queue = self.lock();
        let count = queue.records.len().min(BATCH_RECORDS);
        let taken: Vec<_> = queue.records.drain(..count).collect();
        queue.bytes -= taken.iter().map(|record| record.written.len() + RECORD_BYTES).sum::<usize>();
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// One for each name, by which lines are put together.
    fn source(&mut self, name: &str) -> Arc<Source> {
        if let Some(source) = self.sources.get(name) {
            return source.clone();
        }
        if self.sources.len() >= SOURCES_MAX {
            self.sources.clear();
        }
        let source = Source::new(name, "");
        self.sources.insert(source.name.clone(), source.clone());
        source
    }
}

impl Waiting for Arc<Records> {
    type Batch = Vec<Record>;

    const SIGNAL: Signal = Signal::Logs;

    async fn gather(&self) -> Vec<Record> {
        let enough = async {
            loop {
                let more = self.enough.notified();
                if self.lock().records.len() >= BATCH_RECORDS {
                    return;
                }
                more.await;
            }
        };
        // Whichever it was: what is there is taken.
        let _ = tokio::time::timeout(GATHER, enough).await;
        self.take()
    }

    async fn rest(&self) -> Option<Vec<Record>> {
        Some(self.take()).filter(|records| !records.is_empty())
    }

    fn unwanted(&self, batch: Vec<Record>) {
        self.lost(batch.len());
    }

    async fn written(&self, batch: Vec<Record>, sources: &mut Sources) -> Vec<Request> {
        let lines = batch.iter().map(|record| (&record.source, &record.written));
        sources.requests(lines, |wire, line| wire.field(2, line))
    }

    fn sent(&self, items: usize) {
        self.sent.fetch_add(items as u64, Relaxed);
    }

    fn lost(&self, items: usize) {
        self.dropped.fetch_add(items as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::Severity;

    #[test]
    fn what_finds_no_room_is_counted_and_guests_leave_half_of_it() {
        let records = Records::new(Source::new("gateway", "1"));
        let line = |text: &str| Line::new(SystemTime::now(), Severity::Info, text.to_owned());
        let long = "x".repeat(64 << 10);
        (0..100).for_each(|_| records.tell(Some("a"), true, &line(&long)));
        assert!(records.lock().bytes <= GUESTS_MAX_BYTES);
        let of_guests = records.dropped();
        assert!((65..75).contains(&of_guests), "{of_guests}");
        (0..20).for_each(|_| records.tell(None, false, &line(&long)));
        assert_eq!(records.dropped(), of_guests, "the host's own find room");
        (0..100).for_each(|_| records.tell(None, false, &line(&long)));
        assert!(records.lock().bytes <= WAITING_MAX_BYTES && records.dropped() > of_guests);
        let before = records.lock().records.len();
        assert_eq!(records.take().len(), before);
        assert_eq!(records.lock().bytes, 0);
    }
}
