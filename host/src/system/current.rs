//! What runs, as one value that never changes: whatever changes makes another one.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use gateway::call::Callee;

use super::{document::Document, limits::Limits};
use crate::deploy::{Remotes, Services};
use backend::{Backends, upstream::HEARD};
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

    /// What other hosts are told of: what is routed, where Consul is told of it at all.
    pub fn announced(&self) -> BTreeSet<Arc<str>> {
        let is_told = self.manifest.consul.as_ref().is_some_and(|agent| agent.register);
        if is_told { self.routed() } else { BTreeSet::new() }
    }

    /// The components here that routes lead to.
    pub fn routed(&self) -> BTreeSet<Arc<str>> {
        let targets = self.manifest.routes.iter().flat_map(|route| route.target.services());
        targets.filter(|name| self.services.contains_key(*name)).cloned().collect()
    }

    /// How long whatever goes is still there for those who have not heard of it: `host.linger`, and at least what
    /// Consul's word needs to those who were told of something here.
    pub fn linger(&self) -> Duration {
        let linger = self.manifest.host.linger;
        if self.announced().is_empty() { linger } else { linger.max(HEARD) }
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
