//! Places that are taken and given back, and whose number may change meanwhile.
//!
//! More places are there at once. Fewer take nobody's away: those that are given back go, until no more are
//! taken than there shall be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    max: usize,
    /// Taken places that are gone when they are given back.
    owed: usize,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    /// Empty only while it is dropped.
    permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub fn new(max: usize) -> Arc<Self> {
        let max = max.min(Semaphore::MAX_PERMITS);
        Arc::new(Self { free: Arc::new(Semaphore::new(max)), size: Mutex::new(Size { max, owed: 0 }) })
    }

    /// Waits for a place, in order of arrival; none once it is closed. Cancel safe.
    pub async fn take(self: &Arc<Self>) -> Option<Place> {
        let permit = self.free.clone().acquire_owned().await.ok()?;
        Some(Place { places: self.clone(), permit: Some(permit) })
    }

    /// From now on there are so many.
    pub fn resize(&self, max: usize) {
        let max = max.min(Semaphore::MAX_PERMITS);
        let mut size = self.size();
        let (more, fewer) = (max.saturating_sub(size.max), size.max.saturating_sub(max));
        let kept = more.min(size.owed);
        self.free.add_permits(more - kept);
        size.owed = size.owed - kept + (fewer - self.free.forget_permits(fewer));
        size.max = max;
    }

    pub fn max(&self) -> usize {
        self.size().max
    }

    /// More than [`max`](Self::max) for a while after there are fewer.
    pub fn taken(&self) -> usize {
        let size = self.size();
        (size.max + size.owed).saturating_sub(self.free.available_permits())
    }

    /// Nobody gets one any more.
    pub fn close(&self) {
        self.free.close();
    }

    pub fn is_closed(&self) -> bool {
        self.free.is_closed()
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        // Two numbers that are written together: valid whatever panicked.
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        // Given back under the lock, or a place could slip past whoever makes them fewer.
        let mut size = self.places.size();
        match size.owed {
            0 => drop(permit),
            owed => {
                size.owed = owed - 1;
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn now(places: &Arc<Places>) -> Option<Place> {
        places.take().now_or_never().flatten()
    }

    #[test]
    fn more_places_are_there_at_once_and_fewer_take_nobodys_away() {
        let places = Places::new(2);
        let (first, second) = (now(&places).unwrap(), now(&places).unwrap());
        assert!(now(&places).is_none());
        places.resize(3);
        let third = now(&places).unwrap();
        assert!(now(&places).is_none());
        places.resize(1);
        assert_eq!((places.taken(), places.max()), (3, 1));
        drop(first);
        drop(second);
        assert!(now(&places).is_none(), "one is taken, and there is one");
        drop(third);
        assert_eq!(places.taken(), 0);
        let one = now(&places).unwrap();
        assert!(now(&places).is_none());
        drop(one);
    }

    #[test]
    fn what_was_owed_is_not_once_there_are_more_again() {
        let places = Places::new(4);
        let taken: Vec<_> = (0..3).map(|_| now(&places).unwrap()).collect();
        places.resize(1);
        places.resize(3);
        assert_eq!(places.taken(), 3);
        assert!(now(&places).is_none());
        drop(taken);
        let all: Vec<_> = (0..3).map(|_| now(&places).unwrap()).collect();
        assert!(now(&places).is_none());
        assert_eq!(places.taken(), 3);
        drop(all);
    }

    #[tokio::test]
    async fn whoever_waits_gets_a_place_that_is_new() {
        let places = Places::new(1);
        let _first = now(&places).unwrap();
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.take().await.is_some() }
        });
        tokio::task::yield_now().await;
        places.resize(2);
        assert!(waiting.await.unwrap());
        places.close();
        assert!(places.take().await.is_none());
    }
}
