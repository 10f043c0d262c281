//! Making a connection to a Redis, and telling by its own words whether it is the one to write to.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};

use document::problem::chain;

/// To make one connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The key that is written to find out whether one can write ends after this.
const KEY_MILLIS: u64 = 10_000;

/// Why there is no connection to work with. Holds no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("it is a node of a Redis Cluster, which is not supported; name a server that is not in cluster mode")]
    Cluster,
    #[error("it is a replica, which takes no writes; waiting until the name leads to the primary")]
    Replica,
    /// It is there and takes no writes for the moment.
    #[error("it does not take writes: {0}")]
    NotReady(Arc<str>),
    #[error("{0}")]
    Lost(String),
}

/// A connection to a primary that takes writes.
pub(super) async fn primary(
    client: &Client,
    config: &AsyncConnectionConfig,
    key: &str,
) -> Result<MultiplexedConnection, Fault> {
    let dialled = async {
        let mut connection = client.get_multiplexed_async_connection_with_config(config).await.map_err(fault)?;
        is_primary(&mut connection).await?;
        match write(&mut connection, key).await {
            Err(error) if is_over(&error) => Err(fault(error)),
            // Full, or not for this user: it is for whoever asks to find out.
            _ => Ok(connection),
        }
    };
    let late = || Fault::Lost(format!("no answer within {} s", 2 * CONNECT_TIMEOUT.as_secs()));
    tokio::time::timeout(2 * CONNECT_TIMEOUT, dialled).await.unwrap_or_else(|_elapsed| Err(late()))
}

/// Whether somebody is there who calls himself a primary.
pub(super) async fn is_primary(connection: &mut MultiplexedConnection) -> Result<(), Fault> {
    let hello = match redis::cmd("HELLO").query_async::<Value>(connection).await {
        Ok(hello) => hello,
        Err(error) if is_over(&error) => return Err(fault(error)),
        // Not for this user, or a server that does not know it.
        Err(_refused) => return Ok(()),
    };
    let said = |name: &str| -> Option<String> {
        let mut pairs: Box<dyn Iterator<Item = (&Value, &Value)>> = match &hello {
            Value::Array(flat) => Box::new(flat.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))),
            Value::Map(pairs) => Box::new(pairs.iter().map(|(name, value)| (name, value))),
            _ => return None,
        };
        let text = |value: &Value| redis::from_redis_value_ref::<String>(value).ok();
        pairs.find(|(key, _)| text(key).as_deref() == Some(name)).and_then(|(_, value)| text(value))
    };
    if said("mode").as_deref() == Some("cluster") {
        return Err(Fault::Cluster);
    }
    match said("role").as_deref() {
        Some("replica" | "slave") => Err(Fault::Replica),
        _ => Ok(()),
    }
}

/// Writes a key that ends by itself.
pub(super) async fn write(connection: &mut MultiplexedConnection, key: &str) -> RedisResult<()> {
    redis::cmd("SET").arg(key).arg("1").arg("PX").arg(KEY_MILLIS).query_async(connection).await
}

/// Whether it ends its connection: it broke, or the server is not the one that answers such commands.
pub(super) fn is_over(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, CrossSlot, MasterDown, Moved, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Server(Ask | BusyLoading | ClusterDown | CrossSlot | MasterDown | Moved | ReadOnly | TryAgain) => {
            true
        }
        // An answer that is late is on its way perhaps.
        ErrorKind::Io => !error.is_timeout(),
        ErrorKind::Parse | ErrorKind::AuthenticationFailed => true,
        // A password or a user that was changed.
        _ => matches!(error.code(), Some("NOAUTH" | "UNBLOCKED")),
    }
}

fn fault(error: RedisError) -> Fault {
    use ServerErrorKind::{Ask, ClusterDown, CrossSlot, Moved, ReadOnly};
    match error.kind() {
        ErrorKind::Server(Ask | ClusterDown | CrossSlot | Moved) => Fault::Cluster,
        ErrorKind::Server(ReadOnly) => Fault::Replica,
        ErrorKind::Server(_) => Fault::NotReady(error.code().unwrap_or("ERR").into()),
        _ => Fault::Lost(chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, expected: bool) {
        let answer = redis::parse_redis_value(format!("-{said}\r\n").as_bytes()).and_then(Value::extract_error);
        assert_eq!(is_over(&answer.expect_err("an error")), expected, "{said}");
    }

    #[test]
    fn what_a_server_that_does_not_answer_commands_says_ends_its_connection() {
        check("LOADING Redis is loading the dataset in memory", true);
        check("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true);
        check("READONLY You can't write against a read only replica.", true);
        check("MOVED 3999 127.0.0.1:6381", true);
        check("ASK 3999 127.0.0.1:6381", true);
        check("CLUSTERDOWN The cluster is down", true);
        check("TRYAGAIN Multiple keys request during rehashing of slot", true);
        check("NOAUTH Authentication required.", true);
        check("UNBLOCKED force unblock from blocking operation, instance state changed", true);
        for other in ["OOM command not allowed when used memory > 'maxmemory'.", "WRONGTYPE Operation", "ERR syntax"] {
            check(other, false);
        }
    }
}
