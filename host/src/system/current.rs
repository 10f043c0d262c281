//! What runs, as one value that never changes: whatever changes makes another one.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use gateway::call::Callee;

use super::{document::Document, limits::Limits};
use crate::deploy::{Remotes, Services};
use backend::Backends;
use manifest::Manifest;

/// What runs at one moment.
#[derive(Clone)]
pub struct Current {
    pub manifest: Arc<Manifest>,
    pub applied: Arc<Applied>,
    pub services: Arc<Services>,
    /// Services that run elsewhere.
    pub remotes: Arc<Remotes>,
    /// What new builds reach; those that run keep what they have.
    pub backends: Arc<Backends>,
    pub(super) limits: Arc<Limits>,
    pub(super) document: Arc<Document>,
}

impl Current {
    /// Whether there is a service of this name, here or elsewhere.
    pub fn has(&self, name: &str) -> bool {
        self.services.contains_key(name) || self.remotes.contains_key(name)
    }

    /// The components here that routes lead to: those that other hosts are told of.
    pub fn routed(&self) -> BTreeSet<Arc<str>> {
        let targets = self.manifest.routes.iter().flat_map(|route| route.target.services());
        targets.filter(|name| self.services.contains_key(*name)).cloned().collect()
    }

    /// All services, for those that call them.
    pub(super) fn callees(&self) -> impl Iterator<Item = &Arc<Callee>> {
        let components = self.services.values().map(|deployed| &deployed.callee);
        components.chain(self.remotes.values().map(|elsewhere| &elsewhere.callee))
    }
}

/// Where the manifest that runs came from, for `status`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Applied {
    pub file: PathBuf,
    /// Of the text that runs; the file may say something else by now.
    pub digest: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// The name of the token that applied it; `manifest` since a start.
    pub by: String,
    /// Keys of it that take effect with a restart only.
    pub restart: Vec<String>,
}
