//! An audit: services are let through whatever their manifest grants, and what they used makes the least
//! manifest. For development only.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use document::problem::Problems;
use grant::{Audit, Ceiling, Denied, Grants, Mode, Permissions, keyvalue, net, permission, secrets};

use super::{Loaded, Manifest};

/// What each service has used, over all manifests that were applied meanwhile.
pub struct Audits {
    services: Mutex<BTreeMap<Arc<str>, Arc<Audit>>>,
    tell: fn(&Denied),
}

impl Audits {
    /// `tell` is asked once for each thing that would have been denied.
    pub fn new(tell: fn(&Denied)) -> Self {
        Self { services: Mutex::default(), tell }
    }

    fn of(&self, service: &Arc<str>) -> Arc<Audit> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.entry(service.clone()).or_insert_with(|| Arc::new(Audit::new(self.tell))).clone()
    }

    /// The permissions that cover what was used and nothing else, as TOML to paste into `manifest`.
    pub fn least(&self, manifest: &Manifest) -> String {
        let mut text = String::new();
        for (name, service) in &manifest.services {
            let written = service.grants.written();
            let used = self.of(name).used();
            // Nothing tells whether these are used.
            let kept = Permissions {
                subscribe: written.subscribe.clone(),
                env: written.env.clone(),
                read: written.read.clone(),
                write: written.write.clone(),
                ..used
            };
            let lines = kept.lines();
            if !lines.is_empty() {
                // Writing to a text cannot fail.
                let _ = writeln!(text, "[services.{name}.permissions]\n{}\n", lines.join("\n"));
            }
        }
        text
    }
}

/// What is laid over every manifest of a host, for as long as it runs.
#[derive(Clone, Default)]
pub enum Oversight {
    #[default]
    None,
    /// The operator's: no service exceeds it.
    Ceiling(Arc<Ceiling>),
    /// Everything is let through and written down.
    Audit(Arc<Audits>),
}

impl Oversight {
    pub fn ceiling(&self) -> Option<&Arc<Ceiling>> {
        match self {
            Self::Ceiling(ceiling) => Some(ceiling),
            Self::None | Self::Audit(_) => None,
        }
    }
}

impl Loaded {
    /// The same under an oversight.
    ///
    /// # Errors
    /// What cannot run as it is left.
    pub fn overseen(self, by: &Oversight) -> Result<Self, Problems> {
        match by {
            Oversight::None => Ok(self),
            Oversight::Ceiling(ceiling) => self.under(Some(ceiling)),
            Oversight::Audit(audits) => Ok(self.audited(audits)),
        }
    }

    /// The same, and nothing is denied that the manifest does not deny in so many words.
    #[must_use]
    pub fn audited(mut self, audits: &Audits) -> Self {
        let all = everything(&self.manifest);
        let secrets = self.manifest.secrets.clone();
        for (name, service) in &mut self.manifest.services {
            service.grants = Arc::new(Grants::clone(&service.grants).audited(&all, audits.of(name)));
            service.secrets = secrets.clone();
        }
        self
    }
}

/// Everything that this manifest could grant to one service.
fn everything(manifest: &Manifest) -> Permissions {
    let store = keyvalue::KeyValueScope { prefix: "".into(), mode: Mode::ReadWrite };
    let topics = manifest.events.is_some().then(|| "**".parse().expect("a pattern for every topic"));
    let databases = manifest.databases.keys().filter(|name| !manifest.keeps_keys(name));
    Permissions {
        postgres: grant::Postgres(databases.map(|name| (name.clone(), Mode::ReadWrite)).collect()),
        keyvalue: keyvalue::KeyValue(manifest.keyvalue.keys().map(|name| (name.clone(), store.clone())).collect()),
        publish: grant::Publish(topics.into_iter().collect()),
        call: grant::call::Call(
            (manifest.services.keys().chain(manifest.upstreams.keys()))
                .map(|name| (name.clone(), grant::call::CallScope::Whole))
                .collect(),
        ),
        net: net::Net { allow: net::NetAllow::Everything, deny: [].into() },
        sockets: permission::sockets::Sockets(true),
        secrets: secrets::Secrets(manifest.secrets.keys().cloned().collect()),
        passwords: permission::passwords::Passwords(true),
        ..Permissions::default()
    }
}
