//! The connection to one Redis that everybody shares: made, looked after, and made anew when it leads nowhere.
//!
//! Decides when a connection is over: when it broke, when the server says that it is not the one to write to
//! (a failover, a restart), when it is silent, when it is old. Then the name of the server is resolved anew, so
//! that an address that moves is followed. What is asked over it is others' decision.

use std::{sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::dial::{self, CONNECT_TIMEOUT, Fault};

/// As long as a command may take that has no limit of its own.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two attempts to connect: a server that is back is found within two seconds.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_millis(300);
/// Commands on their way over one connection; more wait for their turn.
const IN_FLIGHT_MAX: usize = 1024;
/// A connection that nobody uses is asked so often: no firewall forgets it, and a server that is silent or has
/// become a replica is noticed.
const BEAT_EVERY: Duration = Duration::from_secs(2);
/// Silence that says that nobody is there.
const SILENCE: Duration = Duration::from_secs(1);
/// The greatest age: whoever moves a name to another server without ending the old one is followed.
pub(super) const AGE_MAX: Duration = Duration::from_secs(600);
/// When an old one could not be replaced.
const AGE_AGAIN: Duration = Duration::from_secs(10);

/// A connection, and which one it is.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    pub(super) number: u64,
}

#[derive(Clone)]
enum State {
    /// With what went wrong the last time.
    Dialling(Option<Fault>),
    Live(Live),
}

/// The way to one Redis. Dropping it ends the connection, when nobody waits for an answer.
pub(super) struct Link {
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

struct Shared {
    name: Arc<str>,
    client: Client,
    /// A key that only says that it could be written.
    key: String,
    age_max: Duration,
    state: watch::Sender<State>,
    /// Connections up to this one are over.
    over: watch::Sender<u64>,
    /// Somebody got no answers.
    doubt: Notify,
}

impl Link {
    /// Needs a tokio runtime, on which the connection lives.
    pub(super) fn open(name: Arc<str>, client: Client, key: String, age_max: Duration) -> Self {
        let (state, over) = (watch::Sender::new(State::Dialling(None)), watch::Sender::new(0));
        let shared = Arc::new(Shared { name, client, key, age_max, state, over, doubt: Notify::new() });
        let keeper = tokio::spawn(shared.clone().keep());
        Self { shared, keeper }
    }

    /// The connection, as soon as there is one. Cancel safe.
    pub(super) async fn live(&self) -> Live {
        let mut states = self.shared.state.subscribe();
        loop {
            if let State::Live(live) = &*states.borrow_and_update() {
                return live.clone();
            }
            // Its sender is here.
            let _ = states.changed().await;
        }
    }

    /// What became of the last attempt, or of the first one if there was none yet. Cancel safe.
    pub(super) async fn outcome(&self) -> Result<(), Fault> {
        let mut states = self.shared.state.subscribe();
        loop {
            match &*states.borrow_and_update() {
                State::Live(_) => return Ok(()),
                State::Dialling(Some(fault)) => return Err(fault.clone()),
                State::Dialling(None) => {}
            }
            // Its sender is here.
            let _ = states.changed().await;
        }
    }

    /// Which connection it is now; 0 without one.
    pub(super) fn number(&self) -> u64 {
        match &*self.shared.state.borrow() {
            State::Live(live) => live.number,
            State::Dialling(_) => 0,
        }
    }

    /// That connection is over. What is under way on it comes to its end.
    pub(super) fn end(&self, number: u64) {
        self.shared.over.send_if_modified(|over| {
            let is_news = *over < number;
            *over = number.max(*over);
            is_news
        });
    }

    /// The server is about to end, for good: its going is no fault that is told, and no other connection is looked for.
    pub(super) fn let_go(&self) {
        self.keeper.abort();
    }

    /// There were no answers: whether it is the connection is found out now.
    pub(super) fn doubt(&self) {
        self.shared.doubt.notify_one();
    }

    /// A key that only says that it could be written.
    pub(super) fn key(&self) -> &str {
        &self.shared.key
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Shared {
    async fn keep(self: Arc<Self>) {
        let mut next = None;
        for number in 1.. {
            let connection = match next.take() {
                Some(connection) => connection,
                None => self.dialled().await,
            };
            let live = Live { connection, number };
            self.state.send_replace(State::Live(live.clone()));
            next = self.watched(live).await;
            if next.is_none() {
                self.state.send_replace(State::Dialling(None));
            }
        }
    }

    /// Tries until there is one.
    async fn dialled(&self) -> MultiplexedConnection {
        let (mut pause, mut told) = (RETRY_MIN, None);
        loop {
            let fault = match self.dial().await {
                Ok(connection) => return connection,
                Err(fault) => fault,
            };
            if told.as_ref() != Some(&fault) {
                tracing::warn!(redis = %self.name, error = %fault, "a Redis cannot be reached; trying on");
                told = Some(fault.clone());
            }
            self.state.send_replace(State::Dialling(Some(fault)));
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    async fn dial(&self) -> Result<MultiplexedConnection, Fault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_concurrency_limit(IN_FLIGHT_MAX);
        dial::primary(&self.client, &config, &self.key).await
    }

    /// Until it is over; gives the next one if it is over because of its age.
    async fn watched(&self, live: Live) -> Option<MultiplexedConnection> {
        let mut over = self.over.subscribe();
        let mut old_at = Instant::now() + self.age_max;
        loop {
            tokio::select! {
                () = async { _ = over.wait_for(|over| *over >= live.number).await } => return None,
                () = sleep_until(old_at) => match self.dial().await {
                    Ok(next) => return Some(next),
                    Err(_) => old_at = Instant::now() + AGE_AGAIN,
                },
                () = self.doubt.notified() => {}
                () = sleep(BEAT_EVERY) => {}
            }
            if let Err(fault) = self.beat(&live).await {
                tracing::debug!(redis = %self.name, error = %fault, "a connection is over");
                return None;
            }
        }
    }

    /// Whether somebody is there, and is still whom to write to.
    async fn beat(&self, live: &Live) -> Result<(), Fault> {
        match timeout(SILENCE, dial::is_primary(&mut live.connection.clone())).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Fault::Lost("no answer".to_owned())),
        }
    }
}
