//! `permissions.keyvalue`: which key-value stores a service may use, how, and under which prefix.

use std::{collections::BTreeMap, sync::Arc};

use document::source::Key;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Mode, Permission, Reading, both, named, quoted, table_of};
use crate::{Denied, Granted, Grants, Import, Permissions};

/// As long as a prefix may be.
const PREFIX_MAX_BYTES: usize = 255;

/// The drafts of `wasi:keyvalue` that are served.
const DRAFTS: [&str; 2] = ["0.2.0-draft", "0.2.0-draft2"];

/// Stores by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeyValue(pub BTreeMap<Arc<str>, KeyValueScope>);

/// How a service may use a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValueScope {
    /// What all its keys begin with in the store; the service never sees it.
    pub prefix: Arc<str>,
    pub mode: Mode,
}

/// A store as one service may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValueGrant {
    pub store: Arc<str>,
    pub scope: KeyValueScope,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawKeyValueGrant {
    Mode(Mode),
    Scope(RawKeyValueScope),
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawKeyValueScope {
    /// What all its keys begin with in the store; the component does not see it.
    #[schemars(extend("default" = ""))]
    prefix: Option<String>,
    /// `read` or `read-write`.
    #[schemars(required)]
    mode: Option<Mode>,
}

impl Permission for KeyValue {
    const KEY: &'static str = "keyvalue";
    const EXAMPLE: &'static str = "keyvalue = { NAME = \"read-write\" }";
    type Raw = BTreeMap<String, RawKeyValueGrant>;

    fn read(raw: Self::Raw, key: &Key<'_>, reading: &mut Reading<'_>) -> Self {
        let mut stores = BTreeMap::new();
        for (name, raw) in raw {
            let key = key.child(&name);
            let name = reading.name(&key, &name);
            scope(raw, &key, reading).map(|scope| stores.insert(name, scope));
        }
        Self(stores)
    }

    /// Nothing is left of a store whose keys are outside of the ceiling's prefix.
    fn within(&self, ceiling: &Self) -> Self {
        let narrow = |scope: &KeyValueScope, most: &KeyValueScope| {
            let mode = scope.mode.min(most.mode);
            scope.prefix.starts_with(&*most.prefix).then(|| KeyValueScope { prefix: scope.prefix.clone(), mode })
        };
        Self(both(&self.0, &ceiling.0, narrow))
    }

    /// Modes alone are compared: which prefix its keys have is the operator's own choice.
    fn lacking(&self, need: &Self) -> Self {
        let lacks = |(name, needed): &(&Arc<str>, &KeyValueScope)| {
            named(&self.0, name).is_none_or(|granted| granted.mode < needed.mode)
        };
        Self(need.0.iter().filter(lacks).map(|(name, scope)| (name.clone(), scope.clone())).collect())
    }

    /// The prefix of a store that is there already stays.
    fn plus(&self, more: &Self) -> Self {
        let mut all = self.0.clone();
        for (name, scope) in &more.0 {
            let known = all.entry(name.clone()).or_insert_with(|| scope.clone());
            known.mode = known.mode.max(scope.mode);
        }
        Self(all)
    }

    fn value(&self) -> Option<String> {
        let value = |scope: &KeyValueScope| match &*scope.prefix {
            "" => quoted(scope.mode.word()),
            prefix => format!("{{ prefix = {}, mode = {} }}", quoted(prefix), quoted(scope.mode.word())),
        };
        table_of(self.0.iter().map(|(name, scope)| (&**name, value(scope))))
    }

    fn is_asked_by(import: Import<'_>) -> bool {
        let standard = ["wasi:keyvalue/store", "wasi:keyvalue/atomics", "wasi:keyvalue/batch"];
        import.is_ours("archipel:keyvalue/store")
            || (standard.contains(&import.interface) && DRAFTS.contains(&import.version))
    }

    fn words(&self) -> Vec<String> {
        let word = |(name, scope): (&Arc<str>, &KeyValueScope)| match &*scope.prefix {
            "" => format!("keyvalue {name} ({})", scope.mode.word()),
            prefix => format!("keyvalue {name} ({}, {prefix}…)", scope.mode.word()),
        };
        self.0.iter().map(word).collect()
    }
}

fn scope(raw: RawKeyValueGrant, key: &Key<'_>, reading: &mut Reading<'_>) -> Option<KeyValueScope> {
    match raw {
        RawKeyValueGrant::Mode(mode) => Some(KeyValueScope { prefix: "".into(), mode }),
        RawKeyValueGrant::Scope(raw) => {
            let prefix = raw.prefix.unwrap_or_default();
            reading.keep(&key.child("prefix"), prefix_is_right(&prefix));
            let mode_key = key.child("mode");
            match raw.mode {
                Some(mode) => Some(KeyValueScope { prefix: prefix.into(), mode }),
                None => {
                    if !mode_key.is_written() {
                        reading.wrong(&mode_key, "is missing; add `mode = \"read\"` or `mode = \"read-write\"`");
                    }
                    None
                }
            }
        }
    }
}

fn prefix_is_right(prefix: &str) -> Result<(), String> {
    if prefix.len() <= PREFIX_MAX_BYTES && !prefix.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("is no prefix; write up to {PREFIX_MAX_BYTES} bytes without control characters, like `users:`"))
}

impl Grants {
    /// The stores this service may use, by name.
    pub fn stores(&self) -> impl Iterator<Item = Granted<KeyValueGrant>> + '_ {
        let granted = |(store, scope): (&Arc<str>, &KeyValueScope)| {
            Granted(KeyValueGrant { store: store.clone(), scope: scope.clone() })
        };
        self.left.keyvalue.0.iter().map(granted)
    }

    /// # Errors
    /// [`Denied`] when the manifest does not grant this store to this service.
    pub fn keyvalue(&self, store: &str) -> Result<Granted<KeyValueGrant>, Denied> {
        match self.left.keyvalue.0.get_key_value(store) {
            Some((store, scope)) => {
                let index = self.written.keyvalue.0.keys().position(|name| name == store);
                let need = || one(store, scope, Mode::Read);
                let grant = KeyValueGrant { store: store.clone(), scope: scope.clone() };
                Ok(self.granted(KeyValue::KEY, index, need, grant))
            }
            None => {
                let is_written = self.written.keyvalue.0.contains_key(store);
                let rule = format!("`keyvalue` does not name `{store}`");
                Err(self.no_store(format!("keyvalue {store}"), rule, store, is_written))
            }
        }
    }

    /// Whether a store that was granted may be written.
    ///
    /// # Errors
    /// [`Denied`] when it is granted for reading only.
    pub fn keyvalue_write(&self, granted: &Granted<KeyValueGrant>) -> Result<(), Denied> {
        let KeyValueGrant { store, scope } = granted.get();
        if scope.mode == Mode::ReadWrite {
            self.granted(KeyValue::KEY, None, || one(store, scope, Mode::ReadWrite), ());
            return Ok(());
        }
        let is_written = self.written.keyvalue.0.get(store).is_some_and(|scope| scope.mode == Mode::ReadWrite);
        let target = format!("keyvalue {store} (read-write)");
        Err(self.no_store(target, "`keyvalue` grants it for reading".to_owned(), store, is_written))
    }

    fn no_store(&self, target: String, rule: String, store: &str, is_written: bool) -> Denied {
        self.denied(target, rule, format!("keyvalue = {{ {store} = \"read-write\" }}"), is_written)
    }
}

/// The need of one store.
fn one(store: &Arc<str>, scope: &KeyValueScope, mode: Mode) -> Permissions {
    let scope = KeyValueScope { prefix: scope.prefix.clone(), mode };
    Permissions { keyvalue: KeyValue([(store.clone(), scope)].into()), ..Permissions::default() }
}
