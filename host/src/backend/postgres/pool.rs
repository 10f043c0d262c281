//! The connections to one database: bounded, lent one at a time, clean whenever they are lent.
//!
//! All roles of a database share one bound, `connections_max`, so an operator's server sees at
//! most that many. A request waits for a connection in order of arrival. A connection that comes
//! back clean is lent again at once; any other is rolled back and reset, or cancelled and
//! closed, by a task that holds its place until that is done. Nothing here knows statements.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use gateway::counts::Counter;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{
    answer::Bounds,
    connection::{Condition, Connection},
    endpoint::{ConnectError, Endpoint},
    error::Error,
};

/// An unused connection older than this is not trusted: a firewall may have forgotten it.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// How long rolling back and resetting may take before the connection is given up.
const RESET_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a server that cannot be reached is worth a line.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The connections of one database.
pub(super) struct Site {
    places: Arc<Semaphore>,
    places_max: usize,
    wait: Duration,
    bounds: Bounds,
    idle: Mutex<Vec<Idle>>,
    /// A connection may be dropped anywhere; its cleaning runs here.
    runtime: Handle,
    /// When a failed connection was last logged.
    told: Mutex<Option<Instant>>,
    /// How often somebody had to wait for a place, and how often in vain.
    waits: Counter,
    timeouts: Counter,
}

/// What a pool has and what became of those who wanted a connection.
#[derive(Debug, Clone, Copy)]
pub struct PoolCounts {
    pub max: u64,
    /// In use, or being cleaned.
    pub lent: u64,
    pub idle: u64,
    pub waits: u64,
    pub timeouts: u64,
}

struct Idle {
    connection: Connection,
    role: Arc<Endpoint>,
    since: Instant,
}

impl Site {
    /// Opens nothing. Must be called within a runtime.
    pub(super) fn new(places_max: usize, wait: Duration, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            wait,
            bounds,
            idle: Mutex::new(Vec::new()),
            runtime: Handle::current(),
            told: Mutex::new(None),
            waits: Counter::default(),
            timeouts: Counter::default(),
        })
    }

    /// Lends a connection of this role, waiting at most the site's `wait` for a place.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when none came free, [`Error::Unavailable`] when a new one cannot
    /// be opened. Cancel safe.
    pub(super) async fn lend(self: &Arc<Self>, role: &Arc<Endpoint>) -> Result<Lease, Error> {
        let place = self.place().await?;
        match self.take_idle(role) {
            Some(connection) => Ok(self.lease(connection, role, place)),
            None => self.open(role, place).await,
        }
    }

    /// Lends nothing any more and closes what is idle.
    pub(super) fn close(&self) {
        self.places.close();
        self.idle().clear();
    }

    /// Connections that are lent or being cleaned.
    pub(super) fn in_use(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    pub(super) fn counts(&self) -> PoolCounts {
        PoolCounts {
            max: self.places_max as u64,
            lent: self.in_use() as u64,
            idle: self.idle().len() as u64,
            waits: self.waits.get(),
            timeouts: self.timeouts.get(),
        }
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        self.waits.count();
        match tokio::time::timeout(self.wait, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_closed)) => Err(Error::Unavailable("the host is stopping".to_owned())),
            Err(_elapsed) => {
                self.timeouts.count();
                Err(Error::Overloaded)
            }
        }
    }

    fn take_idle(&self, role: &Arc<Endpoint>) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|idle| idle.since.elapsed() < IDLE_MAX && matches!(idle.connection.condition(), Condition::Clean));
        let last = idle.iter().rposition(|idle| Arc::ptr_eq(&idle.role, role));
        if let Some(last) = last {
            return Some(idle.remove(last).connection);
        }
        // The caller will open one: other roles' idle connections make room, oldest first.
        while !idle.is_empty() && idle.len() + self.in_use() > self.places_max {
            idle.remove(0);
        }
        None
    }

    async fn open(self: &Arc<Self>, role: &Arc<Endpoint>, place: OwnedSemaphorePermit) -> Result<Lease, Error> {
        match Connection::open(role, self.bounds).await {
            Ok(connection) => Ok(self.lease(connection, role, place)),
            Err(error) => {
                self.tell(&error);
                Err(Error::Unavailable("no connection could be opened".to_owned()))
            }
        }
    }

    /// At most once a second: every request of a service meets the same dead server.
    fn tell(&self, error: &ConnectError) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            tracing::warn!(%error, "cannot connect to a database");
        }
    }

    fn lease(self: &Arc<Self>, connection: Connection, role: &Arc<Endpoint>, place: OwnedSemaphorePermit) -> Lease {
        Lease { held: Some((connection, place)), role: role.clone(), site: self.clone() }
    }

    fn keep(&self, connection: Connection, role: Arc<Endpoint>) {
        if !self.places.is_closed() {
            self.idle().push(Idle { connection, role, since: Instant::now() });
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        // A list of whole connections is valid whatever panicked.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection while somebody has it. Dropping it gives it back, whatever state it is in.
pub(super) struct Lease {
    /// Empty only while it is dropped.
    held: Option<(Connection, OwnedSemaphorePermit)>,
    role: Arc<Endpoint>,
    site: Arc<Site>,
}

impl Lease {
    /// The same place with a connection opened just now, for one that broke. Waiting for a place
    /// here would be waiting for others that do the same.
    pub(super) async fn renewed(mut self) -> Result<Self, Error> {
        let (broken, place) = self.held.take().expect("emptied only here and by drop");
        drop(broken);
        self.site.open(&self.role, place).await
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.held.as_ref().expect("emptied only by drop").0
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.held.as_mut().expect("emptied only by drop").0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((mut connection, place)) = self.held.take() else { return };
        connection.handed_back();
        let (site, role) = (self.site.clone(), self.role.clone());
        match connection.condition() {
            Condition::Clean => site.keep(connection, role),
            Condition::Gone => {}
            Condition::NeedsReset => {
                self.site.runtime.spawn(async move {
                    let reset = tokio::time::timeout(RESET_TIMEOUT, connection.reset()).await;
                    match reset {
                        Ok(Ok(())) => site.keep(connection, role),
                        // The server must have let go of it before its place is lent again.
                        Ok(Err(_)) | Err(_) => connection.abandon().await,
                    }
                    drop(place);
                });
            }
            Condition::Busy => {
                self.site.runtime.spawn(async move {
                    connection.abandon().await;
                    drop(place);
                });
            }
        }
    }
}
