//! Log lines on their way out: gathered, and written by a thread of their own in large pieces.
//!
//! A line costs its writer a copy into memory. While there are lines, the thread writes every few
//! milliseconds; without any it sleeps. What a reader that has stopped reading leaves no room for
//! is dropped and counted, and the counts are the next things it reads. What guests print has no more than
//! half of the room: the host's own lines find the other half. And of what is left of that half a service takes
//! as much as it has already at most, so that one that prints without an end leaves room to the others.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use gateway::counts::Counter;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::speaker::speaker;

/// What may wait to be written.
const WAITING_MAX_BYTES: usize = 8 << 20;
/// Of that, while lines of guests come: a guest that prints without an end drops its own lines, never the
/// host's.
const GUESTS_MAX_BYTES: usize = WAITING_MAX_BYTES / 2;
/// What guests print is told under this target.
const GUEST: &str = "guest";
/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(5);
/// How long the last lines may take at the end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Where lines go; clones share one queue.
#[derive(Clone)]
pub(super) struct Lines {
    shared: Arc<Shared>,
    /// What may wait with a line of these.
    max_bytes: usize,
}

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    lost: Counter,
}

/// Counts the lines that were dropped, from the start on.
#[derive(Clone)]
pub struct Lost(Arc<Shared>);

impl Lost {
    pub fn get(&self) -> u64 {
        self.0.lost.get()
    }
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    /// The host's own.
    dropped: u64,
    /// Of each service that has said something.
    services: BTreeMap<Arc<str>, Spoken>,
    ended: bool,
}

/// Lines of one service.
#[derive(Default)]
struct Spoken {
    bytes: usize,
    dropped: u64,
}

impl Waiting {
    /// Takes the line if there is room for it.
    fn push(&mut self, line: &[u8], max_bytes: usize) -> bool {
        let room = max_bytes.saturating_sub(self.text.len());
        match speaker() {
            None if line.len() <= room => {}
            None => {
                self.dropped += 1;
                return false;
            }
            Some(service) => {
                let spoken = self.services.entry(service).or_default();
                if spoken.bytes + line.len() > room {
                    spoken.dropped += 1;
                    return false;
                }
                spoken.bytes += line.len();
            }
        }
        self.text.extend_from_slice(line);
        true
    }

    /// How many lines were dropped, and whose: `None` for the host's own.
    fn losses(&self) -> impl Iterator<Item = (Option<&str>, u64)> {
        let services = self.services.iter().map(|(service, spoken)| (Some(&**service), spoken.dropped));
        [(None, self.dropped)].into_iter().chain(services).filter(|(_, dropped)| *dropped > 0)
    }
}

/// Writes what is left when dropped.
pub(super) struct Flush {
    lines: Lines,
    thread: Option<thread::JoinHandle<()>>,
}

impl Lines {
    /// Starts the thread that writes to `output`.
    pub(super) fn to(output: impl Write + Send + 'static) -> io::Result<(Self, Flush)> {
        let shared = Shared { waiting: Mutex::default(), changed: Condvar::new(), lost: Counter::default() };
        let lines = Self { shared: Arc::new(shared), max_bytes: WAITING_MAX_BYTES };
        let writing = lines.clone();
        let thread = thread::Builder::new().name("log".into()).spawn(move || writing.run(output))?;
        let flush = Flush { lines: lines.clone(), thread: Some(thread) };
        Ok((lines, flush))
    }

    pub(super) fn lost(&self) -> Lost {
        Lost(self.shared.clone())
    }

    fn run(&self, mut output: impl Write) {
        loop {
            let taken = self.take();
            // Nobody is left to tell when the output is gone.
            let _ = output.write_all(&taken.text);
            for (service, lines) in taken.losses() {
                // A service's name needs no escapes.
                let whose = service.map(|service| format!(",\"service\":\"{service}\"")).unwrap_or_default();
                let _ = writeln!(
                    output,
                    "{{\"level\":\"warn\",\"message\":\"log lines dropped\"{whose},\"lines\":{lines}}}"
                );
            }
            let _ = output.flush();
            if taken.ended {
                return;
            }
            thread::sleep(GATHER);
        }
    }

    /// Waits for lines, or for the end.
    fn take(&self) -> Waiting {
        let waiting = self.lock();
        let is_lost = |waiting: &Waiting| waiting.losses().next().is_some();
        let idle = |waiting: &mut Waiting| waiting.text.is_empty() && !is_lost(waiting) && !waiting.ended;
        let mut waiting = self.shared.changed.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner);
        let ended = waiting.ended;
        Waiting { ended, ..std::mem::take(&mut *waiting) }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Takes the whole line or none of it.
    pub(super) fn tell(&self, of: &Metadata<'_>, line: &[u8]) {
        self.put(line, room(of));
    }

    fn put(&self, line: &[u8], max_bytes: usize) {
        let mut waiting = self.lock();
        let was_idle = waiting.text.is_empty();
        let is_taken = waiting.push(line, max_bytes);
        drop(waiting);
        if !is_taken {
            self.shared.lost.count();
        } else if was_idle {
            self.shared.changed.notify_one();
        }
    }
}

/// What may wait with a line of these.
fn room(of: &Metadata<'_>) -> usize {
    if of.target() == GUEST { GUESTS_MAX_BYTES } else { WAITING_MAX_BYTES }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line, self.max_bytes);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Self {
        Self { max_bytes: room(line), ..self.clone() }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.lines.lock().ended = true;
        self.lines.shared.changed.notify_one();
        let until = Instant::now() + LAST_LINES;
        let Some(thread) = self.thread.take() else { return };
        // Not joined: a reader that has stopped reading must not keep the host from ending.
        while !thread.is_finished() && Instant::now() < until {
            thread::sleep(GATHER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::speaker::speaking, *};

    /// An output that can be read while it is written to, and that can stop.
    #[derive(Clone, Default)]
    struct Output(Arc<(Mutex<Vec<u8>>, Mutex<()>)>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _going = self.0.1.lock();
            self.0.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_in_order_and_the_last_ones_at_the_end() {
        let output = Output::default();
        let (mut lines, flush) = Lines::to(output.clone()).unwrap();
        let wanted: Vec<u8> = (0..1000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        for line in wanted.split_inclusive(|byte| *byte == b'\n') {
            lines.write_all(line).unwrap();
        }
        drop(flush);
        assert_eq!(*output.0.0.lock().unwrap(), wanted);
    }

    #[test]
    fn a_reader_that_stopped_costs_lines_that_are_counted_and_bounded_memory() {
        let output = Output::default();
        let stopped = output.0.1.lock().unwrap();
        let (mut lines, flush) = Lines::to(output.clone()).unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..50 {
            lines.write_all(&line).unwrap();
            assert!(lines.lock().text.len() <= WAITING_MAX_BYTES);
        }
        drop(stopped);
        drop(flush);
        let text = String::from_utf8(output.0.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("log lines dropped"), "{} bytes", text.len());
    }

    #[test]
    fn a_guest_that_floods_the_log_leaves_room_for_the_hosts_own_lines_and_for_other_guests() {
        let output = Output::default();
        let stopped = output.0.1.lock().unwrap();
        let (lines, flush) = Lines::to(output.clone()).unwrap();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
        let [mad, modest] = ["mad", "modest"].map(Arc::<str>::from);
        tracing::subscriber::with_default(subscriber, || {
            let flood = "x".repeat(64 << 10);
            (0..200).for_each(|_| speaking(&mad, || tracing::info!(target: "guest", "{flood}")));
            assert!(
                lines.lock().text.len() <= GUESTS_MAX_BYTES / 2 + (1 << 20),
                "half of what there was, and one piece"
            );
            // The thread has taken as many at most before it met the reader that stopped.
            assert!(lines.lost().get() >= 50, "{} lost", lines.lost().get());
            let before = lines.lost().get();
            (0..20).for_each(|number| speaking(&modest, || tracing::info!(target: "guest", number, "of another")));
            (0..20).for_each(|number| tracing::warn!(number, "of the host"));
            assert_eq!(lines.lost().get(), before);
        });
        let lost = lines.lost().get();
        drop(stopped);
        drop(flush);
        let text = String::from_utf8(output.0.0.lock().unwrap().clone()).unwrap();
        assert_eq!((text.matches("of the host").count(), text.matches("of another").count()), (20, 20));
        // Once for each piece that is written, of which there were two.
        let told: Vec<&str> = text.lines().filter(|line| line.contains("log lines dropped")).collect();
        let of_mad =
            |line: &&str| line.split_once("\"service\":\"mad\",\"lines\":")?.1.trim_end_matches('}').parse().ok();
        let counts: Vec<u64> = told.iter().filter_map(of_mad).collect();
        assert_eq!((counts.len(), counts.iter().sum::<u64>()), (told.len(), lost), "{told:?}");
        assert!((1..=2).contains(&told.len()), "{told:?}");
    }
}
