//! A value that goes along with a request or an answer and can be taken once.
//!
//! Extensions of messages must be cloneable; a connection is not. Whoever takes it first has it.

use std::sync::{Arc, Mutex, PoisonError};

/// A value to take; clones share it.
pub(crate) struct Handed<T>(Arc<Mutex<Option<T>>>);

impl<T> Handed<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(Some(value))))
    }

    /// None once it was taken.
    pub(crate) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Clone for Handed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
