//! One swap of a service at a time: one runs, one waits, and a newer one takes the place of the one
//! that waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Turns, OwnedMutexGuard, oneshot};

/// The swaps of one service.
#[derive(Default)]
pub struct Lane {
    turn: Arc<Turns<()>>,
    running: Arc<Mutex<Option<String>>>,
    waiting: Mutex<Option<Waiting>>,
}

struct Waiting {
    number: u64,
    version: String,
    /// Told which version took the place.
    superseded: oneshot::Sender<String>,
}

/// The right to change what a service runs, until dropped.
pub struct Turn {
    running: Arc<Mutex<Option<String>>>,
    _turn: OwnedMutexGuard<()>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The versions that are on their way, for `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pending {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
}

impl Lane {
    /// Waits for the swap that runs; cancel safe.
    ///
    /// # Errors
    /// The version that came later and waits instead.
    pub async fn enter(&self, version: &str) -> Result<Turn, String> {
        if let Ok(turn) = self.turn.clone().try_lock_owned() {
            return Ok(self.begin(turn, version));
        }
        let (number, told) = self.wait_instead(version);
        tokio::select! {
            biased;
            by = told => Err(by.unwrap_or_else(|_dropped| "a newer one".to_owned())),
            turn = self.turn.clone().lock_owned() => {
                self.slot().take_if(|waiting| waiting.number == number);
                Ok(self.begin(turn, version))
            }
        }
    }

    /// Waits for its turn among the swaps, behind whoever runs; nobody supersedes it. Cancel safe.
    pub async fn turn(&self, what: &str) -> Turn {
        self.begin(self.turn.clone().lock_owned().await, what)
    }

    pub fn pending(&self) -> Pending {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Pending { running, waiting: self.slot().as_ref().map(|waiting| waiting.version.clone()) }
    }

    fn begin(&self, turn: OwnedMutexGuard<()>, version: &str) -> Turn {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.to_owned());
        Turn { running: self.running.clone(), _turn: turn }
    }

    /// Takes the place of whoever waits, and tells them.
    fn wait_instead(&self, version: &str) -> (u64, oneshot::Receiver<String>) {
        let (superseded, told) = oneshot::channel();
        let mut slot = self.slot();
        let number = slot.as_ref().map_or(0, |waiting| waiting.number + 1);
        if let Some(older) = slot.replace(Waiting { number, version: version.to_owned(), superseded }) {
            let _gone = older.superseded.send(version.to_owned());
        }
        (number, told)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn one_runs_one_waits_and_a_newer_one_takes_its_place() {
        let lane = Lane::default();
        let running = lane.enter("1").await.map_err(drop).unwrap();
        let (mut second, mut third) = (Box::pin(lane.enter("2")), Box::pin(lane.enter("3")));
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut third).is_pending());
        assert!(matches!(poll!(&mut second), Poll::Ready(Err(by)) if by == "3"));
        assert_eq!(lane.pending(), Pending { running: Some("1".into()), waiting: Some("3".into()) });
        drop(running);
        let turn = third.await.map_err(drop).unwrap();
        let mut fourth = Box::pin(lane.enter("4"));
        assert!(poll!(&mut fourth).is_pending());
        drop(turn);
        assert!(fourth.await.is_ok());
        assert!(lane.enter("5").await.is_ok());
        assert_eq!(lane.pending(), Pending::default());
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_stops_nobody() {
        let lane = Lane::default();
        let running = lane.enter("1").await.map_err(drop).unwrap();
        let mut second = Box::pin(lane.enter("2"));
        assert!(poll!(&mut second).is_pending());
        drop(second);
        let mut third = Box::pin(lane.enter("3"));
        assert!(poll!(&mut third).is_pending());
        drop(running);
        assert!(third.await.is_ok());
    }
}
