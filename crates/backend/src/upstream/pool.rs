//! The connections to one address: lent to one request at a time, or shared by several, and kept for
//! the next.
//!
//! At most `pool.connections_max` are open: a place is needed to hold one, and those that wait for a
//! request were held before.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use gateway::body::Body;
use http::Request;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{timeout, timeout_at},
};

use super::{
    dial::{Dialled, Dialler},
    link::{Opened, Sent, Shared, Single, open},
};
use grant::net::{Scheme, Target};
use manifest::PoolSettings;

/// How long a connection whose answer has ended may still take with its request before it is closed.
const REST_MAX: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    dialler: Dialler,
    idle_max: Duration,
    /// HTTP/2 is spoken where there is no TLS to agree on it.
    knows_h2: bool,
    places: Arc<Semaphore>,
    max: usize,
    kept: Mutex<Kept>,
    /// One at a time looks for a shared connection, or none would be shared.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    /// The newest last.
    idle: Vec<Single>,
    shared: Vec<Arc<Shared>>,
    /// The last connection was HTTP/2: the next will be, too.
    is_h2: bool,
}

/// Why there is no connection.
pub(super) enum NoConnection {
    Full,
    Failed(io::Error),
}

async fn opened(dialled: Dialled, place: OwnedSemaphorePermit, until: Instant) -> Result<Opened, NoConnection> {
    let opened = timeout_at(until.into(), open(dialled, place)).await;
    let opened = opened.map_err(|_elapsed| NoConnection::Failed(io::ErrorKind::TimedOut.into()))?;
    opened.map_err(|error| NoConnection::Failed(io::Error::other(error)))
}

/// A connection in the hands of one request.
pub(super) enum Lent {
    Single { link: Single, place: OwnedSemaphorePermit, is_used: bool },
    Shared(Stream),
}

/// A place on a shared connection.
pub(super) struct Stream(Arc<Shared>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Lent {
    pub(super) async fn send(&mut self, request: Request<Body>) -> Sent {
        match self {
            Self::Single { link, .. } => link.send(request).await,
            Self::Shared(stream) => stream.0.send(request).await,
        }
    }

    pub(super) fn is_h2(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// It carried other requests before: its server may have given it up meanwhile.
    pub(super) fn is_used(&self) -> bool {
        matches!(self, Self::Shared(_) | Self::Single { is_used: true, .. })
    }
}

impl Pool {
    pub(super) fn new(dialler: Dialler, settings: PoolSettings) -> Self {
        let max = settings.connections_max.get();
        let (places, knows_h2, opening) =
            (Arc::new(Semaphore::new(max)), settings.http2, tokio::sync::Mutex::default());
        let kept = Mutex::new(Kept { is_h2: knows_h2, ..Kept::default() });
        Self { dialler, idle_max: settings.idle, knows_h2, places, max, kept, opening }
    }

    /// A connection to `target`; waits for a place until `wait` and for the connection until `until`.
    /// Cancel safe.
    pub(super) async fn lend(&self, target: &Target, wait: Instant, until: Instant) -> Result<Lent, NoConnection> {
        if let Some(stream) = self.stream() {
            return Ok(Lent::Shared(stream));
        }
        let waited = timeout_at(wait.into(), self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = waited else { return self.stream().map(Lent::Shared).ok_or(NoConnection::Full) };
        if let Some(link) = self.idle() {
            return Ok(Lent::Single { link, place, is_used: true });
        }
        let turn = if self.kept().is_h2 { Some(self.opening.lock().await) } else { None };
        if turn.is_some()
            && let Some(stream) = self.stream()
        {
            return Ok(Lent::Shared(stream));
        }
        let mut dialled = self.dialler.dial(target, false, until).await.map_err(NoConnection::Failed)?;
        dialled.is_h2 |= self.knows_h2 && target.scheme == Scheme::Http;
        Ok(self.taken(opened(dialled, place, until).await?))
    }

    /// A connection that carries one request at a time, so that it can become something else. Cancel safe.
    pub(super) async fn lend_single(
        &self,
        target: &Target,
        wait: Instant,
        until: Instant,
    ) -> Result<Lent, NoConnection> {
        let waited = timeout_at(wait.into(), self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = waited else { return Err(NoConnection::Full) };
        if let Some(link) = self.idle() {
            return Ok(Lent::Single { link, place, is_used: true });
        }
        let dialled = self.dialler.dial(target, true, until).await.map_err(NoConnection::Failed)?;
        match opened(dialled, place, until).await? {
            Opened::Single(link, place) => Ok(Lent::Single { link, place, is_used: false }),
            Opened::Shared(_) => Err(NoConnection::Failed(io::Error::other("it agreed on a protocol nobody offered"))),
        }
    }

    fn taken(&self, opened: Opened) -> Lent {
        let mut kept = self.kept();
        kept.is_h2 = matches!(opened, Opened::Shared(_));
        match opened {
            Opened::Shared(shared) => {
                let shared = Arc::new(shared);
                shared.enter();
                kept.shared.push(shared.clone());
                Lent::Shared(Stream(shared))
            }
            Opened::Single(link, place) => Lent::Single { link, place, is_used: false },
        }
    }

    /// `lent` has carried its answer to the end: it may carry another, mostly at once.
    pub(super) fn give_back(self: &Arc<Self>, lent: Lent) {
        let Lent::Single { mut link, place, .. } = lent else { return };
        if let Some(is_free) = link.is_free().now_or_never() {
            return self.keep(is_free.then_some(link), place);
        }
        // Its request is still being sent, or its task has not come to the end of the answer.
        let pool = self.clone();
        tokio::spawn(async move {
            let is_free = timeout(REST_MAX, link.is_free()).await.unwrap_or(false);
            pool.keep(is_free.then_some(link), place);
        });
    }

    fn keep(&self, link: Option<Single>, place: OwnedSemaphorePermit) {
        self.kept().idle.extend(link);
        // Only now: whoever waited for the place finds the connection.
        drop(place);
    }

    /// Closes what has waited for too long.
    pub(super) fn tend(&self) {
        let (idle, now) = (self.idle_max, self.dialler.generation());
        let mut kept = self.kept();
        kept.idle.retain(|link| link.is_fit(idle, now));
        kept.shared.retain(|shared| shared.is_open(now));
    }

    /// Open connections.
    pub(super) fn open(&self) -> usize {
        let held = self.max - self.places.available_permits();
        held + self.kept().idle.len()
    }

    /// Connections that wait for a request.
    #[cfg(test)]
    pub(super) fn idle_count(&self) -> usize {
        self.kept().idle.len()
    }

    fn idle(&self) -> Option<Single> {
        let (idle, now) = (self.idle_max, self.dialler.generation());
        std::iter::from_fn(|| self.kept().idle.pop()).find(|link| link.is_fit(idle, now))
    }

    fn stream(&self) -> Option<Stream> {
        let now = self.dialler.generation();
        let mut kept = self.kept();
        kept.shared.retain(|shared| shared.is_open(now));
        kept.shared.iter().find(|shared| shared.enter()).cloned().map(Stream)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
