//! The Redis servers of a manifest by name: an operator's, or databases of the private one.
//!
//! One connection a name, shared by everybody (requests are pipelined), made again in the
//! background as often as it takes (`link`). A server that is away stops nobody from starting: whoever
//! uses it decides what to do without. What is asked of it is in files of their own.

mod ask;
mod dial;
mod limits;
mod link;
mod outage;
mod shares;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

pub use super::embedded::redis::Private;
use super::{
    crowd::Crowd,
    embedded::{
        DataFolder, Environment,
        numbers::{self, NumbersError},
        redis::{Server, ServerError},
    },
};
pub use ask::AskError;
use dial::{CONNECT_TIMEOUT, Fault};
pub use limits::Limits;
use link::{AGE_MAX, Link};
use manifest::{RedisPlace, RedisSettings};
use outage::Outage;
pub use shares::Share;
use shares::Shares;

/// A connection that is idle is probed after this.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// All Redis servers of a manifest.
#[derive(Default)]
pub struct Stores {
    stores: BTreeMap<Arc<str>, Arc<Store>>,
    server: Option<Server>,
    /// The names that are on the private server, and what it may hold.
    private: Option<(BTreeSet<Arc<str>>, u64)>,
}

/// One `[redis.NAME]`.
pub struct Store {
    name: Arc<str>,
    /// For connections of one's own.
    pub(super) client: Client,
    link: Link,
    outage: Outage,
    shares: Shares,
    /// Services that had no place in time.
    crowd: Crowd,
}

/// Why a manifest's Redis servers cannot be used. Nothing keeps running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start the private Redis")]
    Server(#[from] ServerError),
    #[error(transparent)]
    Numbers(#[from] NumbersError),
    #[error("`redis.{name}.url` cannot be used")]
    Url {
        name: Arc<str>,
        #[source]
        source: RedisError,
    },
    #[error(
        "`redis.{0}.url` leads to a node of a Redis Cluster, which is not supported; name a server that is not in cluster mode"
    )]
    Cluster(Arc<str>),
}

/// A Redis that takes no writes, in words for the log. Holds no address and no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckError(String);

impl Stores {
    /// Starts the private server if a name needs it. An operator's server that is away is no error: the log says so.
    pub async fn start(
        settings: &BTreeMap<Arc<str>, RedisSettings>,
        data: &DataFolder,
        environment: &Environment,
        private: Private,
        system: &str,
    ) -> Result<Self, StartError> {
        let is_embedded = |settings: &RedisSettings| matches!(settings.place, RedisPlace::Embedded);
        let embedded = settings.iter().filter(|(_, settings)| is_embedded(settings)).map(|(name, _)| name);
        let of_private = embedded.clone().cloned().collect();
        let numbers = numbers::of(data, embedded)?;
        let server = match numbers.is_empty() {
            true => None,
            false => Some(Server::start(data, environment, private).await?),
        };
        let stores = match connected(settings, &numbers, server.as_ref(), system) {
            Ok(stores) => no_cluster(&stores).await.map(|()| stores),
            Err(error) => Err(error),
        };
        match stores {
            Ok(stores) => {
                let private = server.as_ref().map(|_| (of_private, private.memory_max_bytes));
                Ok(Self { stores, server, private })
            }
            Err(error) => {
                if let Some(server) = server {
                    server.stop().await;
                }
                Err(error)
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Store>> {
        self.stores.get(name)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Store>> {
        self.stores.values()
    }

    /// What the server of this name may hold in all, where it is the private one.
    pub fn private_memory(&self, name: &str) -> Option<u64> {
        self.private.as_ref().filter(|(names, _)| names.contains(name)).map(|(_, bytes)| *bytes)
    }

    /// From now on the private server acknowledges nothing that is not on the disk.
    pub async fn fsync_always(&self) -> Result<(), StartError> {
        match &self.server {
            Some(server) => Ok(server.fsync_always().await?),
            None => Ok(()),
        }
    }

    /// Writes the private server's data down and ends it. A second call does nothing.
    pub async fn stop(&self) {
        if let Some(server) = &self.server {
            self.let_go();
            server.stop().await;
        }
    }

    /// Nobody misses the private server from now on.
    fn let_go(&self) {
        let of_private = self.private.iter().flat_map(|(names, _)| names).filter_map(|name| self.stores.get(name));
        of_private.for_each(|store| store.link.let_go());
    }

    /// The same; a private server that takes longer is killed then.
    pub async fn stop_by(&self, until: tokio::time::Instant) {
        if let Some(server) = &self.server {
            self.let_go();
            server.stop_by(until).await;
        }
    }
}

fn connected(
    settings: &BTreeMap<Arc<str>, RedisSettings>,
    numbers: &BTreeMap<Arc<str>, usize>,
    server: Option<&Server>,
    system: &str,
) -> Result<BTreeMap<Arc<str>, Arc<Store>>, StartError> {
    let client = |name: &Arc<str>, settings: &RedisSettings| match &settings.place {
        RedisPlace::External { url } => url.reveal().into_connection_info(),
        RedisPlace::Embedded => {
            let server = server.expect("a name without a URL has started the server");
            let number = i64::try_from(numbers[name]).expect("below 16");
            let info = ConnectionAddr::Unix(server.socket().to_owned()).into_connection_info()?;
            Ok(info.set_redis_settings(RedisConnectionInfo::default().set_db(number)))
        }
    };
    let store = |(name, settings): (&Arc<str>, &RedisSettings)| {
        let client = client(name, settings).and_then(|info| Client::open(info.set_tcp_settings(tcp())));
        match client {
            Ok(client) => Ok((name.clone(), Arc::new(Store::new(name.clone(), client, system)))),
            Err(source) => Err(StartError::Url { name: name.clone(), source }),
        }
    };
    settings.iter().map(store).collect()
}

impl Store {
    /// Needs a tokio runtime, on which the connection lives. `system` is the manifest's `name`.
    pub(super) fn new(name: Arc<str>, client: Client, system: &str) -> Self {
        let outage = Outage::new(name.clone(), "what needs it is refused");
        let link = Link::open(name.clone(), client.clone(), format!("archipel:{{{system}}}:alive"), AGE_MAX);
        Self { name, client, link, outage, shares: Shares::default(), crowd: Crowd::default() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// How often a service had as much under way as it may for too long, from the start on.
    pub fn crowded(&self) -> u64 {
        self.crowd.count()
    }

    /// Whether that was within the last 5 s.
    pub fn is_crowded(&self) -> bool {
        self.crowd.is_now()
    }

    /// Whether there is no connection, or nobody asks for the moment because it did not answer. Asks nobody.
    pub fn is_away(&self) -> bool {
        self.outage.is_out() || self.link.number() == 0
    }

    /// Whether the server takes writes, which is what it is there for. Takes as long as the caller lets it.
    pub async fn check(&self) -> Result<(), CheckError> {
        self.link.outcome().await.map_err(|_fault| CheckError(format!("redis `{}` cannot be reached", self.name)))?;
        let written = self.work(|mut redis| async move { dial::write(&mut redis, self.link.key()).await }).await;
        written.map_err(|reason| CheckError(reason.to_string()))
    }

    /// Which connection there is now; 0 without one. Whoever has one of one's own makes it anew with this one.
    pub(super) fn connection_number(&self) -> u64 {
        self.link.number()
    }
}

/// Waits a moment for servers that can say that they are of no use. Others may be away.
async fn no_cluster(stores: &BTreeMap<Arc<str>, Arc<Store>>) -> Result<(), StartError> {
    let first = stores.values().map(async |store| {
        let first = tokio::time::timeout(CONNECT_TIMEOUT, store.link.outcome()).await;
        if first == Ok(Err(Fault::Cluster)) { Err(StartError::Cluster(store.name.clone())) } else { Ok(()) }
    });
    join_all(first).await.into_iter().collect()
}

/// A network that swallows everything is noticed after two seconds, not after a quarter of an hour.
fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(Duration::from_secs(2));
    settings
}

#[cfg(test)]
mod tests;
