//! A round: takes the next events of one database, publishes them and deletes them, on a connection of
//! its own, as the owner.
//!
//! Several hosts may do this for one database: they take turns, so that events go on in the order in
//! which they were written. An event is deleted when it has been published; a host that dies in
//! between leaves it to be published again, which its id then prevents. What nobody may publish is
//! set aside with a line in the log and never stands in the way.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join;
use tokio_postgres::{Client, Row, Statement};

use super::{
    Outbox, Publishers, WAITING_MAX,
    row::{TAKE, TAKE_BYTES, Unfit, Waiting},
    schema, words,
};
use crate::{
    events::{BATCH_MAX, Event, Events, Options, PublishError},
    postgres::{
        endpoint::Session,
        schema::Schema,
        turns::{self, Turn},
    },
};

/// Waiting events are counted this often at most: there may be many.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Of one round with the server; it is cut off and the connection made anew.
const ROUND_TIMEOUT: Duration = Duration::from_secs(10);
/// Of a question beside the rounds.
const ASIDE_TIMEOUT: Duration = Duration::from_secs(1);
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(1);
/// What was set aside is looked at again: grants change.
const AGAIN: Duration = Duration::from_secs(60);
/// What is not granted here may be on a host with a newer manifest: that one has so long to carry it on.
const OTHERS: Duration = Duration::from_secs(2);
/// What holds in the session. A deletion that a crash of the server forgets does no harm. What was deleted stays in
/// the index until a vacuum: a plain walk along it marks that and passes over it the next time, a bitmap does not.
const SESSION: &str = "SET synchronous_commit = off; SET statement_timeout = '5s'; \
                       SET enable_bitmapscan = off; SET enable_seqscan = off; \
                       SET idle_in_transaction_session_timeout = '5s'; SET timezone = 'UTC'";

/// Some at a time: whoever may call the function may have left many.
const LOOK_AGAIN: &str = "UPDATE public.archipel_outbox SET refused = NULL WHERE seq IN \
                          (SELECT seq FROM public.archipel_outbox WHERE refused IS NOT NULL ORDER BY seq LIMIT 1000)";
const DELETE: &str = "DELETE FROM public.archipel_outbox WHERE seq = ANY ($1)";
const SET_ASIDE: &str = "UPDATE public.archipel_outbox SET refused = aside.reason \
                         FROM unnest($1::bigint[], $2::text[]) AS aside (seq, reason) \
                         WHERE archipel_outbox.seq = aside.seq";

/// What waits, of `$1`, and what was set aside for the reason `$2`: because there was no room for it; `$3` at
/// most.
const COUNT: &str = "SELECT count(*) FROM (SELECT FROM public.archipel_outbox \
                     WHERE publisher = ANY ($1) AND (refused IS NULL OR refused = $2) LIMIT $3) AS waiting";

/// Whether anything waits, of `$1`: looking costs the server less than a turn does.
const ANY: &str = "SELECT EXISTS (SELECT FROM public.archipel_outbox WHERE refused IS NULL AND publisher = ANY ($1))";
/// Whether the first that waits, of `$1`, has waited for so many seconds.
const LATE: &str = "SELECT clock_timestamp() - at >= make_interval(secs => $2) FROM public.archipel_outbox
                    WHERE refused IS NULL AND publisher = ANY ($1) ORDER BY seq LIMIT 1";

/// What a round needs, and what it learns for the next one.
pub(super) struct Rounds {
    outbox: Arc<Outbox>,
    events: Arc<Events>,
    publishers: Arc<Publishers>,
    /// Events of one round: fewer after a failure, in case they were too many.
    together: usize,
    /// While as many wait, more are refused.
    pub(super) waiting_max: i64,
    /// The last round came to something that may not be all, or somebody has committed an event since.
    pub(super) more: bool,
    /// More may wait than when they were counted last.
    is_crowded: bool,
    /// Why something was set aside, as the log was told last.
    told: Option<(String, Instant)>,
}

/// A live connection and what is asked over it.
pub(super) struct Line {
    session: Session,
    schema: Schema,
    take: Statement,
    any: Statement,
    delete: Statement,
    looked_again: Instant,
    counted: Option<Instant>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.session.cut();
    }
}

/// What a round came to.
pub(super) enum Round {
    /// There may be more.
    Some,
    /// All that waited was published.
    All,
    /// Nothing was published: all was set aside, or fewer go together the next time. There may be more.
    Refused,
    /// What waits is another host's for the moment.
    Left,
    Nothing,
    /// Another host is at it.
    NotOurTurn,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RoundError {
    #[error("the database: {0}")]
    Database(String),
    #[error("{0}")]
    Publish(#[from] PublishError),
}

impl From<tokio_postgres::Error> for RoundError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(words(&error))
    }
}

impl Rounds {
    pub(super) fn new(outbox: &Arc<Outbox>, events: &Arc<Events>, publishers: &Arc<Publishers>) -> Self {
        Self {
            outbox: outbox.clone(),
            events: events.clone(),
            publishers: publishers.clone(),
            together: BATCH_MAX,
            waiting_max: WAITING_MAX,
            more: true,
            is_crowded: false,
            told: None,
        }
    }

    /// One round, over a new connection if there is none.
    pub(super) async fn turn(&mut self, line: &mut Option<Line>) -> Result<Round, RoundError> {
        let round = async {
            let line = match line {
                Some(line) => line,
                None => line.insert(self.connect().await?),
            };
            self.round(line).await
        };
        let late = || RoundError::Database(format!("no answer within {} s", ROUND_TIMEOUT.as_secs()));
        tokio::time::timeout(ROUND_TIMEOUT, round).await.unwrap_or_else(|_elapsed| Err(late()))
    }

    async fn connect(&self) -> Result<Line, RoundError> {
        let terms = self.outbox.terms.load_full();
        let connected = terms.owner.connect(schema::MESSAGE_MAX_BYTES).await;
        let session = connected.map_err(|error| RoundError::Database(error.to_string()))?;
        let (client, schema) = (&session.client, terms.owner.schema.clone());
        if !schema::is_there(client, &schema).await? {
            terms.make(client).await.map_err(|error| RoundError::Database(error.to_string()))?;
        }
        turns::prepare(client, &schema).await?;
        client.batch_execute(SESSION).await?;
        let (take, any) = (client.prepare(&schema.sql(TAKE)).await?, client.prepare(&schema.sql(ANY)).await?);
        let delete = client.prepare(&schema.sql(DELETE)).await?;
        self.tell_of_strangers(client, &schema).await?;
        let looked_again = Instant::now().checked_sub(AGAIN).unwrap_or_else(Instant::now);
        Ok(Line { session, schema, take, any, delete, looked_again, counted: None })
    }

    async fn round(&mut self, line: &mut Line) -> Result<Round, RoundError> {
        let looks_again = line.looked_again.elapsed() >= AGAIN;
        if !looks_again
            && !self.more
            && !line.session.client.query_one(&line.any, &[&self.publishers.names()]).await?.try_get(0)?
        {
            return Ok(Round::Nothing);
        }
        let round = match looks_again {
            true => self.round_anew(line).await,
            false => {
                let rows = self.take(line, "BEGIN").await?;
                self.carry(line, rows).await
            }
        };
        self.more = matches!(round, Ok(Round::Some | Round::Refused));
        // Also when nothing was published: what was set aside stays so.
        if !matches!(round, Ok(Round::Some | Round::All) | Err(RoundError::Database(_))) {
            line.session.client.batch_execute("COMMIT").await?;
        }
        round
    }

    /// What was set aside is looked at again, within the turn: whoever may publish less than this host does not
    /// see it in between.
    async fn round_anew(&mut self, line: &mut Line) -> Result<Round, RoundError> {
        line.session.client.batch_execute("BEGIN").await?;
        if !Turn::Outbox.take(&line.session.client, &line.schema).await? {
            return Ok(Round::NotOurTurn);
        }
        let rows = self.take(line, &line.schema.sql(LOOK_AGAIN)).await?;
        line.looked_again = Instant::now();
        self.carry(line, rows).await
    }

    /// The next events, in one round trip with what is to be done before.
    async fn take(&self, line: &Line, before: &str) -> Result<Vec<Row>, RoundError> {
        let (known, together) = (self.publishers.names(), i64::try_from(self.together).unwrap_or(1));
        let client = &line.session.client;
        let taking = async { client.query(&line.take, &[&known, &together]).await };
        let (done, rows) = join(client.batch_execute(before), taking).await;
        done?;
        Ok(rows?)
    }

    /// Publishes these, deletes them and commits that; without that it is left to the caller.
    async fn carry(&mut self, line: &Line, rows: Vec<Row>) -> Result<Round, RoundError> {
        if rows.is_empty() {
            // Nothing waits, or it was somebody else's turn.
            if !Turn::Outbox.take(&line.session.client, &line.schema).await? {
                return Ok(Round::NotOurTurn);
            }
            // Looked at once more with the turn: what came while another had it would wait for the next poll.
            let rows = self.take(line, "").await?;
            return match rows.is_empty() {
                true => Ok(Round::Nothing),
                false => Box::pin(self.carry(line, rows)).await,
            };
        }
        let (mut good, mut events): (Vec<Waiting>, Vec<(Event, Options)>) = Default::default();
        let (mut aside, mut left) = (Vec::new(), BTreeSet::new());
        for row in &rows {
            let waiting = Waiting::read(row)?;
            if left.contains(&waiting.publisher) {
                // It would overtake what that service wrote before.
                continue;
            }
            match waiting.judged(&self.publishers) {
                Ok(event) => {
                    good.push(waiting);
                    events.push(event);
                }
                Err(Unfit::NotGranted(_)) if waiting.age < OTHERS => _ = left.insert(waiting.publisher),
                Err(unfit) => aside.push((waiting, unfit.to_string())),
            }
        }
        let nothing_aside = aside.is_empty();
        self.set_aside(line, aside).await?;
        if events.is_empty() {
            return Ok(if nothing_aside { Round::Left } else { Round::Refused });
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
        let bytes: usize = good.iter().map(|waiting| waiting.body.len()).sum();
        let is_all = good.len() == rows.len() && rows.len() < self.together && bytes < TAKE_BYTES;
        self.together = (self.together * 2).min(BATCH_MAX);
        let done: Vec<i64> = good.iter().map(|waiting| waiting.seq).collect();
        delete(line, &done).await?;
        Ok(if is_all { Round::All } else { Round::Some })
    }

    /// One line for all of a round, of the first; the same reason is told once a minute.
    async fn set_aside(&mut self, line: &Line, aside: Vec<(Waiting, String)>) -> Result<(), RoundError> {
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
        line.session.client.execute(&*line.schema.sql(SET_ASIDE), &[&seqs, &reasons]).await?;
        Ok(())
    }

    /// Events of services that do not publish here stay: another host may know them.
    async fn tell_of_strangers(&self, client: &Client, schema: &Schema) -> Result<(), RoundError> {
        let known = self.publishers.names();
        let sql =
            "SELECT publisher, count(*) FROM public.archipel_outbox WHERE NOT publisher = ANY ($1) GROUP BY publisher";
        for row in client.query(&*schema.sql(sql), &[&known]).await? {
            let (publisher, events): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            tracing::error!(
                database = %self.outbox.database, service = publisher, events,
                "the outbox holds events of a service that publishes nothing here; they stay until it does"
            );
        }
        Ok(())
    }

    /// Whether the first event has waited so long. Whether the database answers is the next round's to find out.
    pub(super) async fn is_late(&self, line: &Line, late: Duration) -> bool {
        let (known, seconds) = (self.publishers.names(), late.as_secs_f64());
        let sql = line.schema.sql(LATE);
        let asking = async { line.session.client.query_opt(&*sql, &[&known, &seconds]).await };
        let answer = tokio::time::timeout(ASIDE_TIMEOUT, asking).await;
        matches!(answer, Ok(Ok(Some(row))) if row.try_get(0).unwrap_or(false))
    }

    /// Counts those that wait, now and then while there may be many.
    pub(super) async fn count(&mut self, line: &mut Line) {
        if !(self.is_crowded || self.outbox.is_full() || self.outbox.waiting() > 0) {
            return;
        }
        if line.counted.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return;
        }
        line.counted = Some(Instant::now());
        let known = self.publishers.names();
        let no_room = PublishError::Overloaded.to_string();
        // Whether the database answers is the next round's to find out.
        let count = line.schema.sql(COUNT);
        let counting = async { line.session.client.query_one(&*count, &[&known, &no_room, &self.waiting_max]).await };
        let Ok(Ok(row)) = tokio::time::timeout(ASIDE_TIMEOUT, counting).await else { return };
        let waiting = row.try_get::<_, i64>(0).unwrap_or(0);
        let full = waiting >= self.waiting_max;
        self.is_crowded = false;
        self.outbox.waiting.store(waiting.unsigned_abs(), Ordering::Relaxed);
        if !self.outbox.full.swap(full, Ordering::Relaxed) && full {
            tracing::error!(database = %self.outbox.database, "{} events wait in the outbox; more are refused", self.waiting_max);
        }
    }
}

/// Deletes what was published and ends the turn, in one round trip.
async fn delete(line: &Line, done: &[i64]) -> Result<(), RoundError> {
    let client = &line.session.client;
    let deleting = async { client.execute(&line.delete, &[&done]).await };
    let (deleted, committed) = join(deleting, client.batch_execute("COMMIT")).await;
    deleted?;
    Ok(committed?)
}
