//! Asking a Redis on behalf of a request: a short wait, and none at all during an outage.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use redis::{RedisResult, aio::ConnectionManager};

use super::Store;

/// As long as a request ever waits for a Redis.
const ASK_TIMEOUT: Duration = Duration::from_millis(100);

/// As long as the host's own work waits for one, with nobody behind it.
const WORK_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no answer. Holds no address and no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nothing was asked, or the connection broke.
    #[error("redis `{0}` does not answer")]
    Away(String),
    /// What was asked may have been done or not.
    #[error("redis `{0}` did not answer in time")]
    Late(String),
    /// The server's own words.
    #[error("redis `{store}` refused: {reason}")]
    Refused { store: String, reason: String },
}

impl Store {
    /// What `question` brings back, by `deadline` and within 100 ms.
    ///
    /// Cancel safe as far as the connection goes; what was sent may be done all the same.
    pub async fn ask<T, F>(
        &self,
        deadline: Instant,
        question: impl FnOnce(ConnectionManager) -> F,
    ) -> Result<T, AskError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let began = Instant::now();
        if !self.outage.is_worth_asking(began) {
            return Err(AskError::Away(self.name.to_string()));
        }
        let by = deadline.min(began + ASK_TIMEOUT);
        match tokio::time::timeout_at(by.into(), question(self.connection.clone())).await {
            Ok(Ok(answer)) => {
                self.outage.answered();
                Ok(answer)
            }
            Ok(Err(error)) if is_refusal(&error) => {
                self.outage.answered();
                Err(AskError::Refused { store: self.name.to_string(), reason: error.to_string() })
            }
            Ok(Err(error)) => {
                self.outage.failed(Instant::now(), &error.to_string());
                Err(AskError::Away(self.name.to_string()))
            }
            // Too little time of one's own says nothing about the server.
            Err(_elapsed) if by == deadline => Err(AskError::Late(self.name.to_string())),
            Err(_elapsed) => {
                self.outage.failed(Instant::now(), "no answer within 100 ms");
                Err(AskError::Late(self.name.to_string()))
            }
        }
    }
    /// What `question` brings back within two seconds, for the host's own work: it asks during an outage too.
    ///
    /// Cancel safe like [`Store::ask`].
    pub async fn work<T, F>(&self, question: impl FnOnce(ConnectionManager) -> F) -> Result<T, AskError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        match tokio::time::timeout(WORK_TIMEOUT, question(self.connection.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if is_refusal(&error) => {
                Err(AskError::Refused { store: self.name.to_string(), reason: error.to_string() })
            }
            Ok(Err(_lost)) => Err(AskError::Away(self.name.to_string())),
            Err(_elapsed) => Err(AskError::Late(self.name.to_string())),
        }
    }
}

/// Whether the server itself said it.
fn is_refusal(error: &redis::RedisError) -> bool {
    error.kind() != redis::ErrorKind::Io && !error.is_timeout() && !error.is_connection_dropped()
}
