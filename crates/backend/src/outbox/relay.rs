//! Carries waiting events on to where consumers find them: one task for each database, on a connection
//! of its own, as the owner.
//!
//! Several hosts may do this for one database: they take turns, so that events go on in the order in
//! which they were written. An event is deleted when it has been published; a host that dies in
//! between leaves it to be published again, which its id then prevents. What nobody may publish is
//! set aside with a line in the log and never stands in the way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinHandle, time::sleep};
use tokio_postgres::{Client, Statement};

use super::{
    Outbox, Publishers, WAITING_MAX,
    row::{TAKE, Waiting},
    schema, words,
};
use crate::{
    events::{BATCH_MAX, Event, Events, Options, PublishError},
    postgres::endpoint::Session,
};

/// How long an event of a host that died, or one written by hand, waits to be noticed.
const POLL: Duration = Duration::from_secs(1);
/// While another host is at it.
const TURN: Duration = Duration::from_millis(20);
/// After the first failure; doubled after each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A round that is under way when the host stops.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);
/// Waiting events are counted this often at most: there may be many.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Of one round with the server; it is cut off and the connection made anew.
const ROUND_TIMEOUT: Duration = Duration::from_secs(10);
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(1);
/// What was set aside is looked at again: grants change.
const AGAIN: Duration = Duration::from_secs(60);
/// A database that no manifest names any more is looked at for so long, in case a request that began before
/// leaves something there: none takes longer.
const LEAVE_AFTER: Duration = Duration::from_secs(5 * 60);
/// Then it is let go, whatever waits there.
const LEAVE_AT_LAST: Duration = Duration::from_secs(3600);
/// As many of those at most; the oldest ends.
pub(super) const LEAVING_MAX: usize = 8;
/// Any number nobody else uses: whose turn it is.
const TURN_LOCK: i64 = i64::from_be_bytes(*b"arch-box");

/// What holds in the session. A deletion that a crash of the server forgets does no harm.
const SESSION: &str = "SET synchronous_commit = off; SET statement_timeout = '5s'; \
                       SET idle_in_transaction_session_timeout = '5s'; SET timezone = 'UTC'";

/// Some at a time: whoever may call the function may have left many.
const LOOK_AGAIN: &str = "UPDATE public.archipel_outbox SET refused = NULL WHERE seq IN \
                          (SELECT seq FROM public.archipel_outbox WHERE refused IS NOT NULL ORDER BY seq LIMIT 1000)";
const SET_ASIDE: &str = "UPDATE public.archipel_outbox SET refused = aside.reason \
                         FROM unnest($1::bigint[], $2::text[]) AS aside (seq, reason) \
                         WHERE archipel_outbox.seq = aside.seq";

/// What waits, of `$1`, and what was set aside for the reason `$2`: because there was no room for it; `$3` at
/// most.
const COUNT: &str = "SELECT count(*) FROM (SELECT FROM public.archipel_outbox \
                     WHERE publisher = ANY ($1) AND (refused IS NULL OR refused = $2) LIMIT $3) AS waiting";

/// All relays of a host. Dropping it ends them.
#[derive(Default)]
pub struct Relays(Mutex<Running>);

#[derive(Default)]
struct Running {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Carrying,
    /// Until nothing waits, from the one time on, and until the other one at most.
    Leaving(Instant, Instant),
    /// Of a database that nobody names any more, and there are too many of those.
    Displaced,
    /// With the host.
    Stopping,
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
        let mut running = self.running();
        if running.stopped {
            return;
        }
        let mut before = std::mem::take(&mut running.by_database);
        for outbox in outboxes {
            let known = before.remove(&outbox.database);
            let carrier = match known {
                Some(same) if Arc::ptr_eq(&same.outbox, outbox) => same,
                other => {
                    running.leaving.extend(other.map(Carrier::leave));
                    Carrier::start(outbox, events, publishers)
                }
            };
            running.by_database.insert(outbox.database.clone(), carrier);
        }
        running.leaving.extend(before.into_values().map(Carrier::leave));
        running.leaving.retain(|carrier| !carrier.task.is_finished());
        let over = running.leaving.len().saturating_sub(LEAVING_MAX);
        running.leaving.drain(..over).for_each(|carrier| _ = carrier.end(Stage::Displaced));
    }

    /// Ends after the rounds that are under way, if they do not take long; what still waits is there at the
    /// next start.
    pub async fn stop(&self) {
        let tasks: Vec<_> = {
            let mut running = self.running();
            running.stopped = true;
            let leaving = std::mem::take(&mut running.leaving);
            std::mem::take(&mut running.by_database)
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

    fn running(&self) -> MutexGuard<'_, Running> {
        // Whole carriers in whole lists: valid whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        let running = self.running();
        running.by_database.values().chain(&running.leaving).for_each(|carrier| carrier.task.abort());
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

struct Relay {
    outbox: Arc<Outbox>,
    events: Arc<Events>,
    publishers: Arc<Publishers>,
    /// Events of one round: fewer after a failure, in case they were too many.
    together: usize,
    /// While as many wait, more are refused.
    waiting_max: i64,
    /// Whether the log knows already.
    failing: bool,
    /// More may wait than when they were counted last.
    is_crowded: bool,
    /// Why something was set aside, as the log was told last.
    told: Option<(String, Instant)>,
}

/// A live connection and what is asked over it.
struct Line {
    session: Session,
    take: Statement,
    looked_again: Instant,
    counted: Option<Instant>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.session.cut();
    }
}

/// What a round came to.
enum Round {
    /// There may be more.
    Some,
    /// Nothing was published: all was set aside, or fewer go together the next time. There may be more.
    Refused,
    Nothing,
    /// Another host is at it.
    NotOurTurn,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the database: {0}")]
    Database(String),
    #[error("{0}")]
    Publish(#[from] PublishError),
}

impl From<tokio_postgres::Error> for RelayError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(words(&error))
    }
}

impl Relay {
    fn new(outbox: &Arc<Outbox>, events: &Arc<Events>, publishers: &Arc<Publishers>) -> Self {
        Self {
            outbox: outbox.clone(),
            events: events.clone(),
            publishers: publishers.clone(),
            together: BATCH_MAX,
            waiting_max: WAITING_MAX,
            failing: false,
            is_crowded: false,
            told: None,
        }
    }

    async fn run(mut self, mut stage: watch::Receiver<Stage>) {
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
            let turn = self.turn(&mut line).await;
            let nothing_waits = matches!(turn, Ok(Round::Nothing));
            if stage.borrow_and_update().is_over(nothing_waits) {
                return nothing_waits;
            }
            let pause = match turn {
                Ok(Round::NotOurTurn) => TURN,
                Ok(round @ (Round::Some | Round::Nothing)) => {
                    self.recovered();
                    backoff = BACKOFF_MIN;
                    if matches!(round, Round::Some) { Duration::ZERO } else { POLL }
                }
                Ok(Round::Refused) => Duration::ZERO,
                Err(error) => {
                    self.failed(&error);
                    if matches!(error, RelayError::Database(_)) {
                        line = None;
                    }
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                    backoff
                }
            };
            if let Some(line) = &mut line
                && (self.is_crowded || self.outbox.is_full() || self.outbox.waiting() > 0)
            {
                self.count(line).await;
            }
            let woken = pause == POLL;
            tokio::select! {
                biased;
                changed = stage.changed() => if changed.is_err() || stage.borrow().is_over(false) { return nothing_waits },
                () = self.outbox.committed.notified(), if woken => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// One round, over a new connection if there is none.
    async fn turn(&mut self, line: &mut Option<Line>) -> Result<Round, RelayError> {
        let round = async {
            let line = match line {
                Some(line) => line,
                None => line.insert(self.connect().await?),
            };
            self.round(line).await
        };
        let late = || RelayError::Database(format!("no answer within {} s", ROUND_TIMEOUT.as_secs()));
        tokio::time::timeout(ROUND_TIMEOUT, round).await.unwrap_or_else(|_elapsed| Err(late()))
    }

    async fn connect(&self) -> Result<Line, RelayError> {
        let connected = self.outbox.terms.load_full().owner.connect(schema::MESSAGE_MAX_BYTES).await;
        let session = connected.map_err(|error| RelayError::Database(error.to_string()))?;
        let client = &session.client;
        if !schema::is_there(client).await? {
            self.outbox
                .terms
                .load_full()
                .make(client)
                .await
                .map_err(|error| RelayError::Database(error.to_string()))?;
        }
        client.batch_execute(SESSION).await?;
        let take = client.prepare(TAKE).await?;
        self.tell_of_strangers(client).await?;
        let looked_again = Instant::now().checked_sub(AGAIN).unwrap_or_else(Instant::now);
        Ok(Line { session, take, looked_again, counted: None })
    }

    async fn round(&mut self, line: &mut Line) -> Result<Round, RelayError> {
        if line.looked_again.elapsed() >= AGAIN {
            line.session.client.execute(LOOK_AGAIN, &[]).await?;
            line.looked_again = Instant::now();
        }
        line.session.client.batch_execute("BEGIN").await?;
        let lock = "SELECT pg_catalog.pg_try_advisory_xact_lock($1)";
        let round = match line.session.client.query_one(lock, &[&TURN_LOCK]).await?.try_get(0)? {
            true => self.carry(line).await,
            false => Ok(Round::NotOurTurn),
        };
        // Also when nothing was published: what was set aside stays so.
        if !matches!(round, Err(RelayError::Database(_))) {
            line.session.client.batch_execute("COMMIT").await?;
        }
        round
    }

    /// Publishes the next events and deletes them.
    async fn carry(&mut self, line: &Line) -> Result<Round, RelayError> {
        let known = self.publishers.names();
        let together = i64::try_from(self.together).unwrap_or(1);
        let rows = line.session.client.query(&line.take, &[&known, &together]).await?;
        if rows.is_empty() {
            return Ok(Round::Nothing);
        }
        let (mut good, mut events): (Vec<Waiting>, Vec<(Event, Options)>) = Default::default();
        let mut aside = Vec::new();
        for row in &rows {
            let waiting = Waiting::read(row)?;
            match waiting.judged(&self.publishers) {
                Ok(event) => {
                    good.push(waiting);
                    events.push(event);
                }
                Err(reason) => aside.push((waiting, reason)),
            }
        }
        self.set_aside(line, aside).await?;
        if events.is_empty() {
            return Ok(Round::Refused);
        }
        match self.events.publish(&events, Instant::now() + PUBLISH_TIMEOUT).await {
            Ok(_ids) => {}
            Err(error @ (PublishError::Unavailable(_) | PublishError::Late(_))) => {
                self.together = (self.together / 2).max(1);
                self.is_crowded = true;
                return Err(error.into());
            }
            // One of them is refused, and would be for ever: alone it no longer stands in the others' way.
            Err(error) => {
                self.together = (events.len() / 2).max(1);
                if good.len() == 1 {
                    self.is_crowded |= error == PublishError::Overloaded;
                    let reason = error.to_string();
                    self.set_aside(line, good.into_iter().map(|waiting| (waiting, reason.clone())).collect()).await?;
                }
                return Ok(Round::Refused);
            }
        }
        self.together = (self.together * 2).min(BATCH_MAX);
        let done: Vec<i64> = good.iter().map(|waiting| waiting.seq).collect();
        line.session.client.execute("DELETE FROM public.archipel_outbox WHERE seq = ANY ($1)", &[&done]).await?;
        Ok(Round::Some)
    }

    /// One line for all of a round, of the first; the same reason is told once a minute.
    async fn set_aside(&mut self, line: &Line, aside: Vec<(Waiting, String)>) -> Result<(), RelayError> {
        let Some((Waiting { seq, publisher, topic, .. }, reason)) = aside.first() else { return Ok(()) };
        if self.told.as_ref().is_none_or(|(told, at)| told != reason || at.elapsed() >= AGAIN) {
            tracing::error!(
                database = %self.outbox.database, service = publisher, topic, seq, reason, events = aside.len(),
                "an event in the outbox cannot be published; it is set aside and looked at again every minute"
            );
            self.told = Some((reason.clone(), Instant::now()));
        }
        let seqs: Vec<i64> = aside.iter().map(|(waiting, _)| waiting.seq).collect();
        let reasons: Vec<&str> = aside.iter().map(|(_, reason)| reason.as_str()).collect();
        line.session.client.execute(SET_ASIDE, &[&seqs, &reasons]).await?;
        Ok(())
    }

    /// Events of services that do not publish here stay: another host may know them.
    async fn tell_of_strangers(&self, client: &Client) -> Result<(), RelayError> {
        let known = self.publishers.names();
        let sql =
            "SELECT publisher, count(*) FROM public.archipel_outbox WHERE NOT publisher = ANY ($1) GROUP BY publisher";
        for row in client.query(sql, &[&known]).await? {
            let (publisher, events): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            tracing::error!(
                database = %self.outbox.database, service = publisher, events,
                "the outbox holds events of a service that publishes nothing here; they stay until it does"
            );
        }
        Ok(())
    }

    /// Whether as many wait as may.
    async fn count(&mut self, line: &mut Line) {
        if line.counted.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return;
        }
        line.counted = Some(Instant::now());
        let known = self.publishers.names();
        let no_room = PublishError::Overloaded.to_string();
        // Whether the database answers is the next round's to find out.
        let counting = async { line.session.client.query_one(COUNT, &[&known, &no_room, &self.waiting_max]).await };
        let Ok(Ok(row)) = tokio::time::timeout(BACKOFF_MAX, counting).await else { return };
        let waiting = row.try_get::<_, i64>(0).unwrap_or(0);
        let full = waiting >= self.waiting_max;
        self.is_crowded = false;
        self.outbox.waiting.store(waiting.unsigned_abs(), Ordering::Relaxed);
        if !self.outbox.full.swap(full, Ordering::Relaxed) && full {
            tracing::error!(database = %self.outbox.database, "{} events wait in the outbox; more are refused", self.waiting_max);
        }
    }

    fn failed(&mut self, error: &RelayError) {
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
) -> JoinHandle<()> {
    let relay = Relay { waiting_max, ..Relay::new(outbox, events, publishers) };
    tokio::spawn(async move {
        // Kept: it would end without it.
        let (_stage, stages) = watch::channel(Stage::Carrying);
        relay.run(stages).await;
    })
}
