//! The task that carries one database's events on: round after round, until its stage is over.
//!
//! Decides when the next round is: at once while there is more, when somebody commits an event, after a
//! pause otherwise, and ever later while something fails. What a round does is `round`'s.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::sleep};

use super::{
    Outbox, Publishers,
    round::{Line, Round, RoundError, Rounds},
};
use crate::events::Events;

/// How long an event of a host that died, or one written by hand, waits to be noticed.
const POLL: Duration = Duration::from_secs(1);
/// Rounds for what was just committed begin no closer together than this: an event by itself goes at once, and under load
/// what comes within this time goes in one round, since a round costs the servers much the same for one and for many.
const GATHER: Duration = Duration::from_millis(5);
/// While another host is at it.
const TURN: Duration = Duration::from_millis(20);
/// While the next event may be another host's to carry on.
const LEFT: Duration = Duration::from_millis(200);
/// After the first failure; doubled after each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// So long without a turn while events wait is worth a line.
const TURN_LATE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Carrying,
    /// Until nothing waits, from the one time on, and until the other one at most.
    Leaving(Instant, Instant),
    /// Of a database that nobody names any more, and there are too many of those.
    Displaced,
    /// With the host.
    Stopping,
}

impl Stage {
    /// Whether it is over, when nothing waits or something may.
    fn is_over(self, nothing_waits: bool) -> bool {
        match self {
            Self::Carrying => false,
            Self::Leaving(after, at_last) => Instant::now() >= if nothing_waits { after } else { at_last },
            Self::Displaced | Self::Stopping => true,
        }
    }
}

pub(super) struct Relay {
    outbox: Arc<Outbox>,
    rounds: Rounds,
    /// Whether the log knows already.
    failing: bool,
    /// Since when somebody else has the turn, and whether the log knows.
    without_turn: Option<(Instant, bool)>,
}

impl Relay {
    pub(super) fn new(outbox: &Arc<Outbox>, events: &Arc<Events>, publishers: &Arc<Publishers>) -> Self {
        Self {
            outbox: outbox.clone(),
            rounds: Rounds::new(outbox, events, publishers),
            failing: false,
            without_turn: None,
        }
    }

    pub(super) async fn run(mut self, mut stage: watch::Receiver<Stage>) {
        let nothing_waits = self.carry_on(&mut stage).await;
        if !nothing_waits && matches!(*stage.borrow(), Stage::Leaving(..) | Stage::Displaced) {
            tracing::error!(
                database = %self.outbox.database,
                "nobody publishes from this database any more; events that wait in its outbox stay there until a service that does so runs again"
            );
        }
    }

    /// Until its stage is over; gives back whether nothing waited at the end.
    async fn carry_on(&mut self, stage: &mut watch::Receiver<Stage>) -> bool {
        let mut line: Option<Line> = None;
        let mut backoff = BACKOFF_MIN;
        loop {
            let began = Instant::now();
            let turn = self.rounds.turn(&mut line).await;
            let nothing_waits = matches!(turn, Ok(Round::Nothing | Round::All));
            if stage.borrow_and_update().is_over(nothing_waits) {
                return nothing_waits;
            }
            if !matches!(turn, Ok(Round::NotOurTurn)) {
                self.has_turn();
            }
            let pause = match turn {
                Ok(Round::NotOurTurn) => {
                    self.tell_of_turn(&mut line).await;
                    TURN
                }
                Ok(round @ (Round::Some | Round::All | Round::Nothing)) => {
                    self.recovered();
                    backoff = BACKOFF_MIN;
                    if matches!(round, Round::Some) { Duration::ZERO } else { POLL }
                }
                Ok(Round::Refused) => Duration::ZERO,
                Ok(Round::Left) => LEFT,
                Err(error) => {
                    self.failed(&error);
                    if matches!(error, RoundError::Database(_)) {
                        line = None;
                    }
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                    backoff
                }
            };
            if let Some(line) = &mut line {
                self.rounds.count(line).await;
            }
            let woken = pause == POLL;
            tokio::select! {
                biased;
                changed = stage.changed() => if changed.is_err() || stage.borrow().is_over(false) { return nothing_waits },
                () = self.outbox.committed.notified(), if woken => {
                    self.rounds.more = true;
                    sleep(GATHER.saturating_sub(began.elapsed())).await;
                }
                () = sleep(pause) => {}
            }
        }
    }

    /// Another host that works has it for a moment. Somebody who keeps it stops the events of all.
    async fn tell_of_turn(&mut self, line: &mut Option<Line>) {
        let (since, told) = *self.without_turn.get_or_insert((Instant::now(), false));
        let Some(line) = line.as_mut().filter(|_| !told && since.elapsed() >= TURN_LATE) else { return };
        if self.rounds.is_late(line, TURN_LATE).await {
            self.without_turn = Some((since, true));
            self.outbox.held.store(true, Relaxed);
            tracing::warn!(
                database = %self.outbox.database,
                "events wait in the outbox and another session holds the turn to carry them on; end it if it is no host"
            );
        } else {
            // Somebody carries them on: that is looked at again after a while.
            self.without_turn = None;
        }
    }

    fn has_turn(&mut self) {
        self.without_turn = None;
        self.outbox.held.store(false, Relaxed);
    }

    fn failed(&mut self, error: &RoundError) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(database = %self.outbox.database, %error, "events wait in the outbox; trying on");
        }
    }

    fn recovered(&mut self) {
        if std::mem::replace(&mut self.failing, false) {
            tracing::info!(database = %self.outbox.database, "events are carried on from the outbox again");
        }
    }
}

/// One of a database that nobody names any more: a round, and it ends.
#[cfg(test)]
pub(super) async fn at_last(outbox: &Arc<Outbox>, events: &Arc<Events>, publishers: &Arc<Publishers>) {
    let (_stage, stages) = watch::channel(Stage::Leaving(Instant::now(), Instant::now()));
    Relay::new(outbox, events, publishers).run(stages).await;
}

/// One that refuses more than so many events, until it is aborted.
#[cfg(test)]
pub(super) fn alone(
    outbox: &Arc<Outbox>,
    events: &Arc<Events>,
    publishers: &Arc<Publishers>,
    waiting_max: i64,
) -> tokio::task::JoinHandle<()> {
    let mut relay = Relay::new(outbox, events, publishers);
    relay.rounds.waiting_max = waiting_max;
    tokio::spawn(async move {
        // Kept: it would end without it.
        let (_stage, stages) = watch::channel(Stage::Carrying);
        relay.run(stages).await;
    })
}
