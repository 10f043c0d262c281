//! How much of a Redis one service may have under way at once, so that the others find room beside it.
//!
//! A place stands for a question and for about a MiB of its answer. Whoever has none waits for its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places of one service at one Redis.
const PLACES: u32 = 32;

/// On whose behalf something is asked, and how many places its answer takes.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    pub service: &'a str,
    pub places: u32,
}

/// Who has which places. Services that have nothing under way are forgotten.
#[derive(Default)]
pub(super) struct Shares(Mutex<BTreeMap<Arc<str>, Arc<Semaphore>>>);

impl Shares {
    /// Waits until the service has room; it is taken for as long as the permit lives. Cancel safe.
    pub(super) async fn take(&self, share: Share<'_>) -> OwnedSemaphorePermit {
        let places = self.of(share.service).acquire_many_owned(share.places.clamp(1, PLACES));
        places.await.expect("never closed")
    }

    fn of(&self, service: &str) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = all.get(service) {
            return places.clone();
        }
        all.retain(|_, places| Arc::strong_count(places) > 1);
        let places = Arc::new(Semaphore::new(PLACES as usize));
        all.insert(service.into(), places.clone());
        places
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_service_that_takes_all_of_its_places_waits_and_others_do_not() {
        let shares = Shares::default();
        let take = |service, places| shares.take(Share { service, places });
        let mut greedy = Vec::new();
        for _ in 0..PLACES / 8 {
            greedy.push(take("greedy", 8).await);
        }
        assert!(take("greedy", 1).now_or_never().is_none(), "it has what it may have");
        assert!(take("modest", PLACES * 2).now_or_never().is_some(), "no question is too large for an idle service");
        greedy.pop();
        assert!(take("greedy", 8).now_or_never().is_some());
        drop(greedy);
        drop(take("another", 1).await);
        drop(take("one more", 1).await);
        assert_eq!(shares.0.lock().unwrap().len(), 1, "who has nothing under way is forgotten");
    }
}
