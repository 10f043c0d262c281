//! Ends connections in order: told to finish, then counted, then cut.
//!
//! One [`Drain`] is shared by the listeners and every connection they accept. It decides
//! nothing about requests; a connection looks at [`Drain::phase`] and acts on it. The order
//! is [`start`](Drain::start), the end of `listener::serve`, [`wait`](Drain::wait), then
//! [`cut`](Drain::cut) for whoever is left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time::{Instant, timeout_at},
};

/// What connections should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Take requests.
    Serving,
    /// Finish the requests in flight, say `Connection: close` or GOAWAY, take no more.
    Draining,
    /// Close now, whatever is unfinished.
    Cut,
}

/// A handle; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Drain(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    phase: AtomicU8,
    changed: Notify,
    connections: AtomicUsize,
    emptied: Notify,
}

impl Drain {
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells listeners to stop and connections to finish. Calling it again changes nothing.
    pub fn start(&self) {
        self.advance(Phase::Draining);
    }

    /// Tells every connection to close at once, mid-answer if need be.
    pub fn cut(&self) {
        self.advance(Phase::Cut);
    }

    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::SeqCst) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Cut,
        }
    }

    /// Returns once draining has started. Cancel safe.
    pub async fn started(&self) {
        let changed = self.changed();
        if self.phase() == Phase::Serving {
            changed.await;
        }
    }

    /// Ready at the next change of phase, counted from this call. Cancel safe.
    pub fn changed(&self) -> Notified<'_> {
        // `notify_waiters` reaches every `Notified` made before it, polled or not.
        self.0.changed.notified()
    }

    /// Counts one connection until the guard is dropped.
    pub fn enter(&self) -> Guard {
        self.0.connections.fetch_add(1, Ordering::SeqCst);
        Guard(self.0.clone())
    }

    /// Connections open now. One with requests in flight never closes by itself, so zero
    /// means that every accepted request has its answer.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    /// Waits for the connections to end, for at most `grace`.
    ///
    /// Returns how many were still open when `grace` ran out; the caller then calls
    /// [`cut`](Self::cut). A `grace` of zero only counts them. Cancel safe.
    pub async fn wait(&self, grace: Duration) -> usize {
        let deadline = Instant::now() + grace;
        loop {
            let emptied = self.0.emptied.notified();
            if self.connections() == 0 {
                return 0;
            }
            if timeout_at(deadline, emptied).await.is_err() {
                return self.connections();
            }
        }
    }

    fn advance(&self, phase: Phase) {
        self.0.phase.fetch_max(phase as u8, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

/// One open connection, from [`Drain::enter`].
#[derive(Debug)]
pub struct Guard(Arc<Inner>);

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.connections.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_last_connection_and_counts_stragglers() {
        let drain = Drain::new();
        let (first, second) = (drain.enter(), drain.enter());
        assert_eq!(drain.wait(Duration::ZERO).await, 2);

        drop(first);
        assert_eq!(drain.wait(Duration::from_secs(5)).await, 1);

        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move { drain.wait(Duration::from_secs(3600)).await }
        });
        tokio::task::yield_now().await;
        drop(second);
        assert_eq!(waiting.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_phase_never_goes_back() {
        let drain = Drain::new();
        let changed = drain.changed();
        drain.cut();
        changed.await;
        drain.start();
        assert_eq!(drain.phase(), Phase::Cut);
        drain.started().await;
    }
}
