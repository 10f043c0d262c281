//! What other hosts are told of the services here, and whether they have been told.
//!
//! Where whoever changes what runs meets whoever tells Consul of it (`serve`): a service that is about to go is taken
//! back there before its place goes, and a change is over when Consul knows of it. A Consul that is away makes a change
//! wait for `TOLD_MAX` and stops none.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// How long a change waits until Consul has been told.
const TOLD_MAX: Duration = Duration::from_secs(2);

/// What Consul shall be told, and how far that is.
#[derive(Default)]
pub struct Announced {
    asked: watch::Sender<Asked>,
    /// The last round that Consul was told of.
    told: watch::Sender<u64>,
}

/// What is not seen in what runs: who is about to go.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Grows with each change.
    round: u64,
    going: BTreeSet<Arc<str>>,
}

impl Asked {
    /// Whether the service is still here and shall not be told of any more.
    pub fn is_going(&self, name: &str) -> bool {
        self.going.contains(name)
    }
}

/// Services that nobody is sent to any more, for as long as this is held.
pub(super) struct Going<'a>(&'a Announced);

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.0.ask(BTreeSet::new());
    }
}

impl Announced {
    /// For whoever tells Consul: what it shall be told, and each change of that.
    pub fn asked(&self) -> watch::Receiver<Asked> {
        self.asked.subscribe()
    }

    /// Consul was told of this, or could not be.
    pub fn told(&self, of: &Asked) {
        self.told.send_replace(of.round);
    }

    /// Has Consul told that `going` are not here any more, and waits for `linger`, until everybody has heard it; both
    /// only if there are any.
    pub(super) async fn leave(&self, going: BTreeSet<Arc<str>>, linger: Duration) -> Going<'_> {
        let held = Going(self);
        if !going.is_empty() {
            self.ask(going);
            self.settle().await;
            sleep(linger).await;
        }
        held
    }

    /// Waits until Consul has been told of what runs now, for two seconds at most. Cancel safe.
    pub(super) async fn settle(&self) {
        let round = self.asked.borrow().round;
        let mut told = self.told.subscribe();
        // Whoever tells it says in the log that it could not.
        let _ = timeout(TOLD_MAX, told.wait_for(|told| *told >= round)).await;
    }

    fn ask(&self, going: BTreeSet<Arc<str>>) {
        self.asked.send_modify(|asked| *asked = Asked { round: asked.round + 1, going });
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Instant};

    use futures_util::FutureExt;

    use super::*;

    const LINGER: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn whoever_goes_is_taken_back_first_and_stays_for_as_long_as_others_need_to_hear_it() {
        let announced = Announced::default();
        let mut asked = announced.asked();
        let mut leaving = pin!(announced.leave(BTreeSet::from(["users".into()]), LINGER));
        assert!(leaving.as_mut().now_or_never().is_none(), "Consul has not been told");
        assert!(asked.has_changed().unwrap(), "it shall be");
        let now = asked.borrow_and_update().clone();
        assert!(now.is_going("users") && !now.is_going("orders"));
        let told = Instant::now();
        announced.told(&now);
        let going = leaving.await;
        assert!(told.elapsed() >= LINGER, "{:?}", told.elapsed());
        assert!(asked.borrow().is_going("users"), "it is not told of anew until it is gone");
        drop(going);
        assert!(!asked.borrow().is_going("users"));
    }

    #[tokio::test]
    async fn a_change_with_which_nobody_goes_waits_for_nothing() {
        let announced = Announced::default();
        assert!(announced.leave(BTreeSet::new(), LINGER).now_or_never().is_some());
    }
}
