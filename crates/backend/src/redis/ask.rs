//! Asking a Redis on behalf of a request: a short wait, and none at all during an outage.

use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use redis::{RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::time::error::Elapsed;

use super::{Share, Store, dial, outage::Outage};

/// As long as a request ever waits for a Redis.
const ASK_TIMEOUT: Duration = Duration::from_millis(100);

/// As long as the host's own work waits for one, with nobody behind it.
const WORK_TIMEOUT: Duration = Duration::from_secs(2);

/// A timer that rings so late rings in a process that stood still; it is some two milliseconds otherwise.
const STOOD_STILL: Duration = Duration::from_millis(10);

/// Why there is no answer. Holds no address and no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nothing was asked, or the connection broke, or the server is not the one to ask any more.
    #[error("redis `{0}` does not answer")]
    Away(String),
    /// What was asked may have been done or not.
    #[error("redis `{0}` did not answer in time")]
    Late(String),
    /// Nothing was asked.
    #[error("redis `{0}` has as much under way for this service as it may")]
    Crowded(String),
    /// The server's own words.
    #[error("redis `{store}` refused: {reason}")]
    Refused { store: String, reason: String },
}

impl Store {
    /// What `question` brings back, by `deadline` and within 100 ms, waiting for a place included.
    ///
    /// Cancel safe as far as the connection goes; what was sent may be done all the same.
    pub async fn ask<T, F>(
        &self,
        share: Share<'_>,
        deadline: Instant,
        question: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, AskError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let began = Instant::now();
        let by = deadline.min(began + ASK_TIMEOUT);
        let place = tokio::time::timeout_at(by.into(), self.shares.take(share)).await;
        let _place = place.map_err(|_elapsed| {
            self.crowd.refused();
            AskError::Crowded(self.name.to_string())
        })?;
        let waited = began.elapsed();
        // What is left after a long wait for oneself says nothing about the server.
        let (patience, deadline) = match waited > ASK_TIMEOUT / 2 {
            true => (ASK_TIMEOUT, by),
            false => (ASK_TIMEOUT - waited, deadline),
        };
        self.asked(&self.outage, patience, deadline, question).await
    }

    /// The same with an outage and a patience of one's own.
    pub(super) async fn asked<T, F>(
        &self,
        outage: &Outage,
        patience: Duration,
        deadline: Instant,
        question: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, AskError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let began = Instant::now();
        if !outage.is_worth_asking(began) {
            return Err(AskError::Away(self.name.to_string()));
        }
        let by = deadline.min(began + patience);
        match in_time(by, self.answer(question)).await {
            Ok(Ok(answer)) => {
                outage.answered();
                Ok(answer)
            }
            Ok(Err(error)) if is_refusal(&error) => {
                outage.answered();
                Err(self.refused(&error))
            }
            Ok(Err(error)) => {
                outage.failed(Instant::now(), &error.to_string());
                Err(AskError::Away(self.name.to_string()))
            }
            // Too little time of one's own says nothing about the server.
            Err(_elapsed) if by == deadline => Err(AskError::Late(self.name.to_string())),
            Err(_elapsed) => {
                outage.failed(Instant::now(), &format!("no answer within {} ms", began.elapsed().as_millis()));
                if outage.is_out() {
                    self.link.doubt();
                }
                Err(AskError::Late(self.name.to_string()))
            }
        }
    }

    /// What `question` brings back within two seconds, for the host's own work: it asks during an outage too.
    ///
    /// Cancel safe like [`Store::ask`].
    pub async fn work<T, F>(&self, question: impl FnOnce(MultiplexedConnection) -> F) -> Result<T, AskError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        match in_time(Instant::now() + WORK_TIMEOUT, self.answer(question)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if is_refusal(&error) => Err(self.refused(&error)),
            Ok(Err(_lost)) => Err(AskError::Away(self.name.to_string())),
            Err(_elapsed) => {
                self.link.doubt();
                Err(AskError::Late(self.name.to_string()))
            }
        }
    }

    /// Over the connection there is; one that turns out to lead nowhere is ended.
    async fn answer<T, F>(&self, question: impl FnOnce(MultiplexedConnection) -> F) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let live = self.link.live().await;
        let answer = question(live.connection).await;
        if answer.as_ref().is_err_and(dial::is_over) {
            self.link.end(live.number);
        }
        answer
    }

    fn refused(&self, error: &RedisError) -> AskError {
        AskError::Refused { store: self.name.to_string(), reason: error.to_string() }
    }
}

/// `answer`, if it is there by then. A moment in which this process stood still is not the server's: where the time was
/// over unseen, the answer may lie here unread, and what was lost comes on top, up to as long as anybody waits.
async fn in_time<T>(by: Instant, answer: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut answer = pin!(answer);
    let outcome = tokio::time::timeout_at(by.into(), answer.as_mut()).await;
    let lost = by.elapsed();
    match outcome {
        Err(_elapsed) if lost >= STOOD_STILL => tokio::time::timeout(lost.min(ASK_TIMEOUT), answer).await,
        outcome => outcome,
    }
}

/// Whether the server itself said it, and would say it again.
fn is_refusal(error: &RedisError) -> bool {
    error.kind() != redis::ErrorKind::Io && !error.is_timeout() && !dial::is_over(error)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_came_while_the_process_stood_still_is_taken() {
        let (tell, told) = oneshot::channel();
        // As the task that reads the connection: it is asked after the alarm.
        let reading = tokio::spawn(async move {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            tell.send(1)
        });
        let by = Instant::now() + Duration::from_millis(20);
        let answer = in_time(by, async {
            tokio::task::yield_now().await;
            std::thread::park_timeout(Duration::from_millis(200));
            told.await
        });
        assert_eq!(answer.await.expect("in time"), Ok(1));
        reading.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_not_waited_for() {
        assert!(in_time(Instant::now() + Duration::from_millis(20), std::future::pending::<()>()).await.is_err());
    }
}
