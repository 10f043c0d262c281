//! Who carries events on: one relay for each database that has an outbox, from the manifest that names it
//! until what waits there is gone.
//!
//! A changed manifest starts relays and lets others leave; none is ended while something waits, unless
//! there are too many of those or the host stops. What a relay does is `relay`'s.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinHandle};

use super::{
    Outbox, Publishers,
    relay::{Relay, Stage},
};
use crate::events::Events;

/// A round that is under way when the host stops.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);
/// A database that no manifest names any more is looked at for so long, in case a request that began before
/// leaves something there: none takes longer.
const LEAVE_AFTER: Duration = Duration::from_secs(5 * 60);
/// Then it is let go, whatever waits there.
const LEAVE_AT_LAST: Duration = Duration::from_secs(3600);
/// As many of those at most; the oldest ends.
pub(super) const LEAVING_MAX: usize = 8;

/// All relays of a host. Dropping it ends them.
#[derive(Default)]
pub struct Relays(Mutex<Roster>);

#[derive(Default)]
struct Roster {
    by_database: BTreeMap<Arc<str>, Carrier>,
    /// Of databases that no manifest names any more, the latest last.
    leaving: Vec<Carrier>,
    /// None starts any more.
    stopped: bool,
}

struct Carrier {
    outbox: Arc<Outbox>,
    stage: watch::Sender<Stage>,
    task: JoinHandle<()>,
}

impl Relays {
    /// From now on one for each of these outboxes. Without anything that carries events nothing can wait.
    /// Those of other outboxes end when what waits there is gone.
    pub fn replace<'a>(
        &self,
        outboxes: impl Iterator<Item = &'a Arc<Outbox>>,
        events: Option<&Arc<Events>>,
        publishers: &Arc<Publishers>,
    ) {
        let Some(events) = events else { return };
        let mut roster = self.roster();
        if roster.stopped {
            return;
        }
        let mut before = std::mem::take(&mut roster.by_database);
        for outbox in outboxes {
            let known = before.remove(&outbox.database);
            let carrier = match known {
                Some(same) if Arc::ptr_eq(&same.outbox, outbox) => same,
                other => {
                    roster.leaving.extend(other.map(Carrier::leave));
                    Carrier::start(outbox, events, publishers)
                }
            };
            roster.by_database.insert(outbox.database.clone(), carrier);
        }
        roster.leaving.extend(before.into_values().map(Carrier::leave));
        roster.leaving.retain(|carrier| !carrier.task.is_finished());
        let over = roster.leaving.len().saturating_sub(LEAVING_MAX);
        roster.leaving.drain(..over).for_each(|carrier| _ = carrier.end(Stage::Displaced));
    }

    /// Ends after the rounds that are under way, if they do not take long; what still waits is there at the
    /// next start.
    pub async fn stop(&self) {
        let tasks: Vec<_> = {
            let mut roster = self.roster();
            roster.stopped = true;
            let leaving = std::mem::take(&mut roster.leaving);
            std::mem::take(&mut roster.by_database)
                .into_values()
                .chain(leaving)
                .map(|carrier| carrier.end(Stage::Stopping))
                .collect()
        };
        let until = tokio::time::Instant::now() + STOP_TIMEOUT;
        for mut task in tasks {
            if tokio::time::timeout_at(until, &mut task).await.is_err() {
                task.abort();
            }
        }
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        // Whole carriers in whole lists: valid whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        let roster = self.roster();
        roster.by_database.values().chain(&roster.leaving).for_each(|carrier| carrier.task.abort());
    }
}

impl Carrier {
    fn start(outbox: &Arc<Outbox>, events: &Arc<Events>, publishers: &Arc<Publishers>) -> Self {
        let (stage, stages) = watch::channel(Stage::Carrying);
        let relay = Relay::new(outbox, events, publishers);
        Self { outbox: outbox.clone(), stage, task: tokio::spawn(relay.run(stages)) }
    }

    fn leave(self) -> Self {
        let now = Instant::now();
        self.stage.send_replace(Stage::Leaving(now + LEAVE_AFTER, now + LEAVE_AT_LAST));
        self
    }

    fn end(self, stage: Stage) -> JoinHandle<()> {
        self.stage.send_replace(stage);
        self.task
    }
}
