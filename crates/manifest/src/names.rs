//! Every name that permissions use exists, can sign, can be read: once, for a service of the manifest, for
//! what a ceiling leaves of it, and for what an operator accepts besides.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use document::structure::nearest;
use grant::{Mode, Permissions};

use super::{AuthSettings, DatabasePlace, DatabaseSettings, Manifest};

/// What there is for permissions to name.
pub(crate) struct There<'a> {
    /// Those without mistakes.
    pub(crate) databases: &'a BTreeMap<Arc<str>, DatabaseSettings>,
    pub(crate) issuers: &'a BTreeMap<Arc<str>, AuthSettings>,
    /// Every name that is written, also where its table has mistakes.
    pub(crate) names: Names,
    /// Whether something carries events.
    pub(crate) has_events: bool,
    /// False: an include could not be read, so a missing name may be in there.
    pub(crate) whole: bool,
}

/// Names by what they are of.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) postgres: BTreeSet<Arc<str>>,
    pub(crate) keyvalue: BTreeSet<Arc<str>>,
    pub(crate) auth: BTreeSet<Arc<str>>,
    pub(crate) services: BTreeSet<Arc<str>>,
    pub(crate) secrets: BTreeSet<Arc<str>>,
}

/// A permission that names what is not there, or what cannot be used so.
pub(crate) struct Misfit {
    /// The key in `permissions`.
    pub(crate) key: &'static str,
    /// What it names, where it names something.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) message: String,
}

/// All misfits of `permissions`.
pub(crate) fn misfits(permissions: &Permissions, there: &There<'_>) -> Vec<Misfit> {
    let absent = |key, table, name: &Arc<str>, names| {
        let message = there.absent(table, name, names)?;
        Some(Misfit { key, name: Some(name.clone()), message })
    };
    let names = &there.names;
    let databases = permissions.postgres.0.iter().filter_map(|(name, mode)| {
        absent("postgres", "postgres", name, &names.postgres).or_else(|| there.unfit_database(name, *mode))
    });
    let stores = permissions.keyvalue.0.keys().filter_map(|name| absent("keyvalue", "keyvalue", name, &names.keyvalue));
    let callees = permissions.call.0.keys().filter_map(|name| absent("call", "services", name, &names.services));
    let secrets = permissions.secrets.0.iter().filter_map(|name| absent("secrets", "secrets", name, &names.secrets));
    let signer = permissions.sign.0.iter().filter_map(|grant| there.unfit_signer(&grant.auth));
    let topics = [("publish", &permissions.publish.0), ("subscribe", &permissions.subscribe.0)];
    let unheard = topics.into_iter().filter(|(_, topics)| !topics.is_empty() && !there.has_events && there.whole);
    let unheard = unheard.map(|(key, _)| {
        let message = "needs something that carries events; add `[events]` with `redis = \"NAME\"`".to_owned();
        Misfit { key, name: None, message }
    });
    databases.chain(stores).chain(callees).chain(secrets).chain(signer).chain(unheard).collect()
}

impl There<'_> {
    /// What to say of a name that is not there.
    fn absent(&self, table: &str, name: &str, names: &BTreeSet<Arc<str>>) -> Option<String> {
        if names.contains(name) || !self.whole {
            return None;
        }
        let fix = match nearest(name, names.iter().map(AsRef::as_ref)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "add it, or remove this permission".to_owned(),
        };
        Some(match table {
            "services" => format!("there is no service `{name}`; {fix}"),
            _ => format!("there is no `[{table}.{name}]`; {fix}"),
        })
    }

    fn unfit_database(&self, name: &Arc<str>, mode: Mode) -> Option<Misfit> {
        if let Some(auth) = keys_in(self.issuers, self.databases, name) {
            let message = format!(
                "it keeps the keys of `[auth.{auth}]`, and whoever reads them can sign; give them a database of their own"
            );
            return Some(Misfit { key: "postgres", name: Some(name.clone()), message });
        }
        let unfit = self.databases.get(name).is_some_and(|settings| !settings.can_be_used(mode));
        let message = format!(
            "`read` needs a role that can only read, for a read-only transaction is no boundary; add `url_read` to \
             `[postgres.{name}]`"
        );
        unfit.then(|| Misfit { key: "postgres", name: Some(name.clone()), message })
    }

    fn unfit_signer(&self, name: &Arc<str>) -> Option<Misfit> {
        let verifies = || {
            let can_sign = self.issuers.get(name)?.keys.can_sign();
            let fix = "give it `generate`, a private `pem` or `hs256`, or remove this";
            (!can_sign).then(|| format!("`[auth.{name}]` has keys that only verify; {fix}"))
        };
        let message = self.absent("auth", name, &self.names.auth).or_else(verifies)?;
        Some(Misfit { key: "sign", name: Some("auth".into()), message })
    }
}

/// The issuer whose keys are in the database `name`, which may be another name of the one that its `store` says.
fn keys_in<'a>(
    issuers: &'a BTreeMap<Arc<str>, AuthSettings>,
    databases: &BTreeMap<Arc<str>, DatabaseSettings>,
    name: &Arc<str>,
) -> Option<&'a Arc<str>> {
    let url = |name: &Arc<str>| match &databases.get(name)?.place {
        DatabasePlace::External { url, .. } => Some(url),
        DatabasePlace::Embedded => None,
    };
    let is_here = |store: &Arc<str>| store == name || url(store).is_some_and(|kept| url(name) == Some(kept));
    issuers.iter().find(|(_, settings)| settings.keys.database().is_some_and(is_here)).map(|(auth, _)| auth)
}

impl DatabaseSettings {
    /// Whether a service may be given it in this way: reading needs a role of its own.
    pub fn can_be_used(&self, mode: Mode) -> bool {
        mode == Mode::ReadWrite || !matches!(self.place, DatabasePlace::External { url_read: None, .. })
    }
}

impl Manifest {
    /// Whether everything that `permissions` name is there and can be used so.
    ///
    /// # Errors
    /// The first thing that is not, in words.
    pub fn has_what_it_names(&self, permissions: &Permissions) -> Result<(), String> {
        let told = |misfit: Misfit| match misfit.name {
            Some(name) => format!("`{}` `{name}`: {}", misfit.key, misfit.message),
            None => format!("`{}`: {}", misfit.key, misfit.message),
        };
        misfits(permissions, &self.there()).into_iter().next().map_or(Ok(()), |misfit| Err(told(misfit)))
    }

    /// Whether generated keys are in this database, so that no service may reach it.
    pub fn keeps_keys(&self, database: &Arc<str>) -> bool {
        keys_in(&self.issuers, &self.databases, database).is_some()
    }

    fn there(&self) -> There<'_> {
        let names = Names {
            postgres: self.databases.keys().cloned().collect(),
            keyvalue: self.keyvalue.keys().cloned().collect(),
            auth: self.issuers.keys().cloned().collect(),
            services: self.services.keys().chain(self.upstreams.keys()).cloned().collect(),
            secrets: self.secrets.keys().cloned().collect(),
        };
        let (databases, issuers) = (&self.databases, &self.issuers);
        There { databases, issuers, names, has_events: self.events.is_some(), whole: true }
    }
}
