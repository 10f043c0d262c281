//! Which key-value stores a service may use, how, and under which prefix: `permissions.keyvalue`.

use std::sync::Arc;

use super::{Denied, Granted, Grants, Mode};

/// How a service may use a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValueScope {
    /// What all its keys begin with in the store; the service never sees it.
    pub prefix: Arc<str>,
    pub mode: Mode,
}

impl KeyValueScope {
    /// What is left of it under a ceiling's; nothing where its keys are outside of that.
    pub(super) fn within(&self, ceiling: &Self) -> Option<Self> {
        let mode = self.mode.min(ceiling.mode);
        self.prefix.starts_with(&*ceiling.prefix).then(|| Self { prefix: self.prefix.clone(), mode })
    }
}

/// A store as one service may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValueGrant {
    pub store: Arc<str>,
    pub scope: KeyValueScope,
}

impl Grants {
    /// The stores this service may use, by name.
    pub fn stores(&self) -> impl Iterator<Item = Granted<KeyValueGrant>> + '_ {
        let granted = |(store, scope): (&Arc<str>, &KeyValueScope)| {
            Granted(KeyValueGrant { store: store.clone(), scope: scope.clone() })
        };
        self.permissions.keyvalue.iter().map(granted)
    }

    /// # Errors
    /// [`Denied`] when the manifest does not grant this store to this service.
    pub fn keyvalue(&self, store: &str) -> Result<Granted<KeyValueGrant>, Denied> {
        match self.permissions.keyvalue.get_key_value(store) {
            Some((store, scope)) => Ok(Granted(KeyValueGrant { store: store.clone(), scope: scope.clone() })),
            None => {
                let is_written = self.written.keyvalue.contains_key(store);
                Err(self.no_store(format!("the key-value store `{store}`"), store, is_written))
            }
        }
    }

    /// The refusal of a write to a store that is granted for reading only.
    pub fn no_writing(&self, granted: &Granted<KeyValueGrant>) -> Denied {
        let store = &granted.get().store;
        let is_written = self.written.keyvalue.get(store).is_some_and(|scope| scope.mode == Mode::ReadWrite);
        self.no_store(format!("the key-value store `{store}` for writing"), store, is_written)
    }

    fn no_store(&self, what: String, store: &str, is_written: bool) -> Denied {
        let line = format!("`keyvalue = {{ {store} = \"read-write\" }}`");
        Denied { service: self.service.clone(), what, line, word: self.word(is_written) }
    }
}
