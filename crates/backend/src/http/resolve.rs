//! Names to addresses, once for each connection.
//!
//! The system's resolver blocks a thread for as long as it likes, also for those who have given up
//! waiting. So only so many names are looked up at once, by one service and by all: the threads
//! are needed for passwords, keys and new builds too.

use std::{
    future::Future,
    io,
    net::{IpAddr, ToSocketAddrs},
    pin::Pin,
    sync::Arc,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
type Resolve = dyn Fn(String, Places) -> Resolving + Send + Sync;

const LOOKUPS_MAX: usize = 32;
const LOOKUPS_OF_SERVICE_MAX: usize = 8;

/// The system's resolver, or a test's.
#[derive(Clone)]
pub struct Resolver {
    resolve: Arc<Resolve>,
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

/// The right to look up one name; given back when the lookup has really ended.
struct Places {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Resolver {
    pub fn system() -> Self {
        Self::new(|name, places| {
            let looking = tokio::task::spawn_blocking(move || {
                let _places = places;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).collect())
            });
            Box::pin(async { looking.await.map_err(io::Error::other)? })
        })
    }

    #[cfg(test)]
    pub fn from_fn(resolve: impl Fn(String) -> Resolving + Send + Sync + 'static) -> Self {
        Self::new(move |name, _places| resolve(name))
    }

    fn new(resolve: impl Fn(String, Places) -> Resolving + Send + Sync + 'static) -> Self {
        Self {
            resolve: Arc::new(resolve),
            all: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            own: Arc::new(Semaphore::new(LOOKUPS_OF_SERVICE_MAX)),
        }
    }

    /// The same for another service.
    pub(crate) fn apart(&self) -> Self {
        Self { own: Arc::new(Semaphore::new(LOOKUPS_OF_SERVICE_MAX)), ..self.clone() }
    }

    /// Waits for its turn; the caller bounds the whole. Cancel safe.
    pub(crate) async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let own = self.own.clone().acquire_owned().await.map_err(io::Error::other)?;
        let all = self.all.clone().acquire_owned().await.map_err(io::Error::other)?;
        (self.resolve)(name.to_owned(), Places { _own: own, _all: all }).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn slow_names_of_one_service_leave_room_for_another() {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let slow = Resolver::new(move |_name, places| {
            count.fetch_add(1, SeqCst);
            Box::pin(async move {
                let _places = places;
                std::future::pending().await
            })
        });
        let (one, other) = (slow.apart(), slow.apart());
        let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(one.addresses("slow.example"))).collect();
        for lookup in &mut waiting {
            assert!(poll!(lookup).is_pending());
        }
        assert_eq!(begun.load(SeqCst), LOOKUPS_OF_SERVICE_MAX);
        let mut of_other = Box::pin(other.addresses("slow.example"));
        assert!(poll!(&mut of_other).is_pending());
        assert_eq!(begun.load(SeqCst), LOOKUPS_OF_SERVICE_MAX + 1);
    }
}
