//! Who keeps idle instances, so that they can be given up when another service needs their room.

use std::sync::{Mutex, PoisonError, Weak};

/// Someone who keeps instances for later.
pub trait GiveUp: Send + Sync {
    /// Drops all idle instances; true if there were any.
    fn give_up(&self) -> bool;
}

/// All who keep idle instances. The services of a manifest bound it.
#[derive(Default)]
pub struct IdleInstances(Mutex<Vec<Weak<dyn GiveUp>>>);

impl IdleInstances {
    pub fn add(&self, keeper: Weak<dyn GiveUp>) {
        let mut keepers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keepers.retain(|keeper| keeper.strong_count() > 0);
        keepers.push(keeper);
    }

    /// Makes room: everybody's idle instances go. True if there were any.
    pub fn give_up(&self) -> bool {
        let keepers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let gave = keepers.iter().filter_map(Weak::upgrade).map(|keeper| keeper.give_up());
        gave.fold(false, |any, one| any | one)
    }
}
