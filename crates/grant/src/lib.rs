//! Decides what a component may reach.
//!
//! A [`Grants`] is built once from a manifest and never changes while its generation runs. Nothing in this
//! crate performs I/O. A decision that says yes is a [`Granted`] value, which the backends demand; a
//! decision that says no is a [`Denied`], which names the line that would allow it.
//!
//! Each kind of permission is one file in `permission`, [`Permissions`] is all of them.

mod ceiling;
mod denied;
mod import;
pub mod permission;
mod permissions;
mod uses;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use ceiling::Ceiling;
pub use denied::{Denied, Fix, Word};
pub use import::{Import, Kind, examples};
pub use permission::{
    ANY, Mode, Permission, Reading, Whose, call, env, folder, keyvalue, net, passwords::Hashing,
    postgres::DatabaseGrant, postgres::Postgres, publish::Publish, publish::Publishing, secrets, sign, sign::SignGrant,
    sign::Signing, sockets, subscribe::Subscribe, subscribe::Subscription, topic,
};
pub use permissions::{Permissions, RawPermissions, refusal};
pub use uses::Audit;

/// Something that has passed its grant check. Only this crate can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted<T>(T);

impl<T> Granted<T> {
    pub fn get(&self) -> &T {
        &self.0
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Granted<U> {
        Granted(change(self.0))
    }
}

/// What one service may reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Grants {
    service: Arc<str>,
    /// The file to edit, for messages.
    manifest: Arc<Path>,
    /// As the manifest says.
    written: Permissions,
    /// As far as the ceiling allows it: what decides.
    left: Permissions,
    ceiling: Option<Arc<Ceiling>>,
    uses: Arc<uses::Uses>,
    /// Nothing is denied that it does not know.
    audit: Option<Arc<Audit>>,
}

impl Grants {
    pub fn new(service: Arc<str>, manifest: PathBuf, permissions: Permissions) -> Self {
        let (manifest, written) = (manifest.into(), permissions.clone());
        let uses = uses::Uses::of(&written);
        Self { service, manifest, written, left: permissions, ceiling: None, uses, audit: None }
    }

    /// Whose they are.
    pub fn service(&self) -> &Arc<str> {
        &self.service
    }

    /// What the manifest says, whatever the ceiling does; for whoever makes other grants of it.
    pub fn written(&self) -> &Permissions {
        &self.written
    }

    /// What is left of it under the ceiling.
    pub fn left(&self) -> &Permissions {
        &self.left
    }

    /// The file that grants, for messages.
    pub fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// Every permission in a word or two, for people: `postgres users (read)`.
    pub fn words(&self) -> Vec<String> {
        self.left.words()
    }
}

#[cfg(test)]
mod decisions;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod testing;
