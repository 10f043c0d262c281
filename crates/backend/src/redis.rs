//! The Redis servers of a manifest by name: an operator's, or databases of the private one.
//!
//! One connection a name, shared by everybody (requests are pipelined), made again in the
//! background as often as it takes. A server that is away stops nobody from starting: whoever
//! uses it decides what to do without. What is asked of it is in files of their own.

mod ask;
mod limits;
mod outage;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};

use super::embedded::{
    DataFolder, Environment,
    numbers::{self, NumbersError},
    redis::{Server, ServerError},
};
pub use ask::AskError;
use document::problem::chain;
pub use limits::Limits;
use manifest::{RedisPlace, RedisSettings};
use outage::Outage;

/// To make one connection, and as long as a command may take that has no limit of its own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two attempts to connect: a server that is back is found within two seconds.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_millis(300);
/// Commands on their way over one connection; more wait for their turn.
const IN_FLIGHT_MAX: usize = 1024;

/// All Redis servers of a manifest.
#[derive(Default)]
pub struct Stores {
    stores: BTreeMap<Arc<str>, Arc<Store>>,
    server: Option<Server>,
}

/// One `[redis.NAME]`.
pub struct Store {
    name: Arc<str>,
    /// For connections of one's own.
    pub(super) client: Client,
    connection: ConnectionManager,
    outage: Outage,
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
}

/// A Redis that does not answer. Holds no address and no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("redis `{0}` does not answer")]
pub struct CheckError(Arc<str>);

impl Stores {
    /// Starts the private server if a name needs it; with `fsync_always` it acknowledges nothing that
    /// is not on the disk. An operator's server that is away is no error: the log says so.
    pub async fn start(
        settings: &BTreeMap<Arc<str>, RedisSettings>,
        data: &DataFolder,
        environment: &Environment,
        fsync_always: bool,
    ) -> Result<Self, StartError> {
        let is_embedded = |settings: &RedisSettings| matches!(settings.place, RedisPlace::Embedded);
        let embedded = settings.iter().filter(|(_, settings)| is_embedded(settings)).map(|(name, _)| name);
        let numbers = numbers::of(data, embedded)?;
        let server = match numbers.is_empty() {
            true => None,
            false => Some(Server::start(data, environment, fsync_always).await?),
        };
        match connected(settings, &numbers, server.as_ref()) {
            Ok(stores) => Ok(Self { stores, server }),
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
            server.stop().await;
        }
    }
}

fn connected(
    settings: &BTreeMap<Arc<str>, RedisSettings>,
    numbers: &BTreeMap<Arc<str>, usize>,
    server: Option<&Server>,
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
        let store = client.and_then(|client| Store::new(name.clone(), client));
        match store {
            Ok(store) => Ok((name.clone(), Arc::new(store))),
            Err(source) => Err(StartError::Url { name: name.clone(), source }),
        }
    };
    settings.iter().map(store).collect()
}

impl Store {
    /// Needs a tokio runtime, on which the connection lives.
    pub(super) fn new(name: Arc<str>, client: Client) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_min_delay(RETRY_MIN)
            .set_max_delay(RETRY_MAX)
            .set_number_of_retries(usize::MAX)
            .set_concurrency_limit(IN_FLIGHT_MAX);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        tokio::spawn(first_contact(name.clone(), client.clone(), connection.clone()));
        let outage = Outage::new(name.clone(), "what needs it is refused");
        Ok(Self { name, client, connection, outage })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether nobody asks it for the moment, because it did not answer. Asks nobody.
    pub fn is_away(&self) -> bool {
        self.outage.is_out()
    }

    /// Whether the server answers. Takes as long as the caller lets it.
    pub async fn check(&self) -> Result<(), CheckError> {
        let mut connection = self.connection.clone();
        let answer = redis::cmd("PING").query_async::<()>(&mut connection).await;
        answer.map_err(|_reason| CheckError(self.name.clone()))
    }
}

/// Connects before anybody asks. The manager itself tries for ever and never says what is wrong,
/// so one attempt is made beside it.
async fn first_contact(name: Arc<str>, client: Client, mut connection: ConnectionManager) {
    let config = redis::AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT));
    if let Err(error) = client.get_multiplexed_async_connection_with_config(&config).await {
        let error = chain(&error);
        tracing::warn!(redis = %name, error, "a Redis cannot be reached; trying on");
    }
    // Only the connection is wanted; whoever asks next sees whether it is there.
    let _ = redis::cmd("PING").query_async::<()>(&mut connection).await;
}

/// A network that swallows everything is noticed after two seconds, not after a quarter of an hour.
fn tcp() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(Duration::from_secs(2));
    settings
}
