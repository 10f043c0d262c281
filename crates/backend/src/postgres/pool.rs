//! The connections to one database: bounded, lent one at a time, clean whenever they are lent.
//!
//! All roles of a database share one bound, `connections_max`, so an operator's server sees at
//! most that many, also while a changed manifest replaces a site by another. Of these a role has its share at
//! most, so that one that holds on to all it gets leaves some to others. A request waits in order of arrival. A connection that comes
//! back clean is lent again at once; any other is rolled back and reset, or cancelled and
//! closed, by a task that holds its place until that is done. Nothing here knows statements.

use std::{
    ops::{Deref, DerefMut},
    pin::pin,
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use gateway::{
    counts::Counter,
    places::{Place, Places},
};
use tokio::runtime::Handle;

use super::{
    answer::Bounds,
    connection::{Condition, Connection},
    endpoint::{ConnectError, Endpoint},
    error::Error,
    schema::Schema,
};
use crate::crowd::Crowd;

/// An unused connection older than this is not trusted: a firewall may have forgotten it.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// One that nobody used for this long is asked whether it is alive.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// How long that may take.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long rolling back and resetting may take before the connection is given up.
const RESET_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a server that cannot be reached is worth a line.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What all sites of one database share: there are as many connections as places, those that are idle
/// included.
pub(super) struct Stock {
    places: Arc<Places>,
    idle: Mutex<Vec<Idle>>,
    /// How often somebody had to wait for a place.
    waits: Counter,
    /// Those who waited in vain.
    crowd: Crowd,
    /// When one broke or fell silent: those that were idle then are asked before they are lent.
    suspicion: Mutex<Option<Instant>>,
    /// Counts the changes of its schema that the host knows of.
    schema: AtomicU64,
}

/// The connections of one database under one manifest's settings. Another manifest's site lends of the
/// same stock.
pub(super) struct Site {
    stock: Arc<Stock>,
    wait: Duration,
    bounds: Bounds,
    /// Another one has taken its place: what comes back is closed.
    retired: AtomicBool,
    /// A connection may be dropped anywhere; its cleaning runs here.
    runtime: Handle,
    /// When a failed connection was last logged.
    told: Mutex<Option<Instant>>,
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
    /// Somebody waited in vain within the last 5 s.
    pub crowded: bool,
}

struct Idle {
    connection: Connection,
    role: Arc<Endpoint>,
    of: Weak<Site>,
    since: Instant,
}

impl Stock {
    pub(super) fn new(places_max: usize) -> Arc<Self> {
        let (waits, crowd) = (Counter::default(), Crowd::default());
        let (idle, suspicion) = (Mutex::default(), Mutex::default());
        Arc::new(Self { places: Places::new(places_max), idle, waits, crowd, suspicion, schema: AtomicU64::new(0) })
    }

    fn suspect(&self) {
        *self.suspicion.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection that is idle since then is alive without a question.
    fn trusts(&self, since: Instant) -> bool {
        let suspicion = *self.suspicion.lock().unwrap_or_else(PoisonError::into_inner);
        since.elapsed() < SILENT_MAX && suspicion.is_none_or(|suspicion| suspicion < since)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        // A list of whole connections is valid whatever panicked.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site {
    /// Opens nothing. Must be called within a runtime.
    pub(super) fn new(stock: Arc<Stock>, wait: Duration, bounds: Bounds) -> Arc<Self> {
        let (retired, runtime) = (AtomicBool::new(false), Handle::current());
        Arc::new(Self { stock, wait, bounds, retired, runtime, told: Mutex::new(None) })
    }

    /// The same, for other settings.
    pub(super) fn successor(&self, wait: Duration, bounds: Bounds) -> Arc<Self> {
        Self::new(self.stock.clone(), wait, bounds)
    }

    /// Lends a connection of this role, waiting at most the site's `wait` for a place.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when none came free, [`Error::Unavailable`] when a new one cannot
    /// be opened. Cancel safe.
    pub(super) async fn lend(self: &Arc<Self>, role: &Arc<Endpoint>, share: &Arc<Places>) -> Result<Lease, Error> {
        let (place, waited) = self.place(share).await?;
        let mut lease = self.lent(role, place).await?;
        lease.waited = waited;
        Ok(lease)
    }

    async fn lent(self: &Arc<Self>, role: &Arc<Endpoint>, place: Seat) -> Result<Lease, Error> {
        while let Some(idle) = self.take_idle(role) {
            if let Some(mut connection) = self.proven(idle).await {
                connection.is_for(self.schema());
                return Ok(self.lease(connection, role, place));
            }
        }
        self.open(role, place).await
    }

    /// A connection that is alive, or nothing; then those that were not used since are no better.
    async fn proven(&self, idle: Idle) -> Option<Connection> {
        let Idle { mut connection, since, .. } = idle;
        if self.stock.trusts(since) {
            return Some(connection);
        }
        let began = Instant::now();
        match tokio::time::timeout(PROBE_TIMEOUT, connection.is_alive()).await {
            Ok(true) => Some(connection),
            Ok(false) | Err(_) => {
                self.stock.idle().retain(|other| other.since > began);
                None
            }
        }
    }

    /// Statements that were prepared before are prepared anew.
    pub(super) fn schema_changed(&self) {
        self.stock.schema.fetch_add(1, Relaxed);
    }

    fn schema(&self) -> u64 {
        self.stock.schema.load(Relaxed)
    }

    /// What is idle now is asked before it is lent.
    pub(super) fn suspect(&self) {
        self.stock.suspect();
    }

    /// Lends nothing any more and closes what is idle; so do all sites of the database.
    pub(super) fn close(&self) {
        self.stock.places.close();
        self.stock.idle().clear();
    }

    /// Closes what is idle, and from now on whatever comes back: only those that began with it lend from it
    /// still, until they end.
    pub(super) fn retire(&self) {
        let mut idle = self.stock.idle();
        self.retired.store(true, Relaxed);
        idle.retain(|idle| !ptr::eq(idle.of.as_ptr(), self));
    }

    /// From now on the database has so many connections at most. Those that are lent stay until they come
    /// back.
    pub(super) fn resize(&self, places_max: usize) {
        self.stock.places.resize(places_max);
        let mut idle = self.stock.idle();
        let over = (idle.len() + self.in_use()).saturating_sub(places_max).min(idle.len());
        idle.drain(..over);
    }

    /// Connections of the database that are lent or being cleaned.
    pub(super) fn in_use(&self) -> usize {
        self.stock.places.taken()
    }

    pub(super) fn counts(&self) -> PoolCounts {
        let stock = &self.stock;
        PoolCounts {
            max: stock.places.max() as u64,
            lent: self.in_use() as u64,
            idle: stock.idle().len() as u64,
            waits: stock.waits.get(),
            timeouts: stock.crowd.count(),
            crowded: stock.crowd.is_now(),
        }
    }

    /// A place of the role's share, and then one of the database's; how long it was waited for.
    async fn place(&self, share: &Arc<Places>) -> Result<(Seat, Duration), Error> {
        let closed = || Error::Unavailable("the host is stopping".to_owned());
        let taking = async {
            let of_share = share.take().await?;
            Some(Seat { _place: self.stock.places.take().await?, _of_share: of_share })
        };
        let mut taking = pin!(taking);
        if let Some(seat) = taking.as_mut().now_or_never() {
            return Ok((seat.ok_or_else(closed)?, Duration::ZERO));
        }
        self.stock.waits.count();
        let began = Instant::now();
        match tokio::time::timeout(self.wait, taking).await {
            Ok(seat) => Ok((seat.ok_or_else(closed)?, began.elapsed())),
            Err(_elapsed) => {
                self.stock.crowd.refused();
                Err(Error::Overloaded)
            }
        }
    }

    fn take_idle(&self, role: &Arc<Endpoint>) -> Option<Idle> {
        let mut idle = self.stock.idle();
        idle.retain(|idle| idle.since.elapsed() < IDLE_MAX && matches!(idle.connection.condition(), Condition::Clean));
        let last = idle.iter().rposition(|idle| Arc::ptr_eq(&idle.role, role));
        if let Some(last) = last {
            return Some(idle.remove(last));
        }
        // The caller will open one: other roles' idle connections make room, oldest first.
        while !idle.is_empty() && idle.len() + self.in_use() > self.stock.places.max() {
            idle.remove(0);
        }
        None
    }

    async fn open(self: &Arc<Self>, role: &Arc<Endpoint>, place: Seat) -> Result<Lease, Error> {
        match Connection::open(role, self.bounds, self.schema()).await {
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

    fn lease(self: &Arc<Self>, mut connection: Connection, role: &Arc<Endpoint>, place: Seat) -> Lease {
        connection.handed_out();
        let held = Some((connection, place));
        Lease { held, role: role.clone(), site: self.clone(), waited: Duration::ZERO }
    }

    fn keep(self: &Arc<Self>, connection: Connection, role: Arc<Endpoint>) {
        let mut idle = self.stock.idle();
        if !self.stock.places.is_closed() && !self.retired.load(Relaxed) {
            idle.push(Idle { connection, role, of: Arc::downgrade(self), since: Instant::now() });
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.retire();
    }
}

/// Room for a connection: the database's, and of the role's share.
struct Seat {
    _place: Place,
    _of_share: Place,
}

/// How many of so many connections one of several roles may have at once.
pub(super) fn share_of(connections_max: usize, roles: usize) -> usize {
    match roles {
        0 | 1 => connections_max,
        _ => (connections_max - (connections_max / 4).max(1)).max(1),
    }
}

/// A connection while somebody has it. Dropping it gives it back, whatever state it is in.
pub(super) struct Lease {
    /// Empty only while it is dropped.
    held: Option<(Connection, Seat)>,
    role: Arc<Endpoint>,
    site: Arc<Site>,
    /// How long its place was waited for.
    pub(super) waited: Duration,
}

impl Lease {
    /// Where the host's own function is in this database.
    pub(super) fn schema(&self) -> Schema {
        self.role.schema.clone()
    }

    /// The same place with a connection opened just now, for one that broke. Waiting for a place
    /// here would be waiting for others that do the same.
    pub(super) async fn renewed(mut self) -> Result<Self, Error> {
        let (broken, place) = self.held.take().expect("emptied only here and by drop");
        drop(broken);
        self.site.suspect();
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
            Condition::Gone => site.suspect(),
            Condition::Expired => {}
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
                site.suspect();
                self.site.runtime.spawn(async move {
                    connection.abandon().await;
                    drop(place);
                });
            }
        }
    }
}
