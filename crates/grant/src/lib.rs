//! Decides what a component may reach.
//!
//! A [`Grants`] is built once from a manifest and never changes while its generation runs.
//! Nothing in this module performs I/O. A decision that says yes is a [`Granted`] value, which
//! the backends demand; a decision that says no names the line that would allow it.

pub mod call;
mod ceiling;
mod denial;
pub mod env;
pub mod folder;
pub mod keyvalue;
pub mod net;
pub mod secrets;
pub mod sockets;
pub mod topic;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use ceiling::{ANY, Ceiling};
pub use denial::{Denial, Fix, Word};

/// Something that has passed its grant check. Only this module can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted<T>(T);

impl<T> Granted<T> {
    pub fn get(&self) -> &T {
        &self.0
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
    /// As far as the ceiling allows it.
    permissions: Permissions,
    ceiling: Option<Arc<Ceiling>>,
    /// Variables that the ceiling hides.
    hidden: Vec<String>,
}

/// What a manifest grants to one service, in checked form. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Permissions {
    pub postgres: BTreeMap<Arc<str>, Mode>,
    pub sign: Option<SignGrant>,
    pub passwords: bool,
    /// Services it may call.
    pub call: BTreeMap<Arc<str>, call::CallScope>,
    /// What it may reach outside.
    pub net: net::NetPermission,
    /// Key-value stores by name.
    pub keyvalue: BTreeMap<Arc<str>, keyvalue::KeyValueScope>,
    pub publish: Vec<topic::TopicPattern>,
    /// What it handles.
    pub subscribe: Vec<topic::TopicPattern>,
    /// Folders of this machine that it sees.
    pub read: folder::Folders,
    /// Folders in which it may change everything.
    pub write: folder::Folders,
    /// Names of `[secrets]`.
    pub secrets: Vec<Arc<str>>,
    /// Raw TCP and UDP, to where `net` leads.
    pub sockets: bool,
}

impl Permissions {
    fn list(&self) -> Vec<String> {
        let databases = self.postgres.iter().map(|(database, mode)| {
            let mode = if *mode == Mode::Read { "read" } else { "read-write" };
            format!("postgres {database} ({mode})")
        });
        let sign = self.sign.as_ref().map(|sign| match sign.roles.is_empty() {
            true => format!("sign {}", sign.auth),
            false => format!("sign {} ({})", sign.auth, sign.roles.join(", ")),
        });
        let passwords = self.passwords.then(|| "passwords".to_owned());
        let net = match self.net.open() {
            None => vec!["net: everything".to_owned()],
            Some(open) => open.map(|entry| format!("net {entry}")).collect(),
        };
        let calls = self.call.keys().map(|callee| format!("call {callee}"));
        let stores = self.keyvalue.iter().map(|(store, scope)| match (scope.mode, &*scope.prefix) {
            (Mode::Read, "") => format!("keyvalue {store} (read)"),
            (Mode::ReadWrite, "") => format!("keyvalue {store} (read-write)"),
            (Mode::Read, prefix) => format!("keyvalue {store} (read, {prefix}…)"),
            (Mode::ReadWrite, prefix) => format!("keyvalue {store} (read-write, {prefix}…)"),
        });
        let publish = self.publish.iter().map(|topic| format!("publish {topic}"));
        let subscribe = self.subscribe.iter().map(|topic| format!("subscribe {topic}"));
        let read = self.read.list("read");
        let write = self.write.list("write");
        let secrets = self.secrets.iter().map(|name| format!("secret {name}"));
        let sockets = self.sockets.then(|| "sockets".to_owned());
        let machine = read.chain(write).chain(secrets).chain(sockets);
        let inside = databases.chain(stores).chain(publish).chain(subscribe).chain(sign).chain(passwords);
        inside.chain(machine).chain(calls).chain(net).collect()
    }
}

/// Which tokens a service may have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignGrant {
    pub auth: Arc<str>,
    pub roles: Vec<Arc<str>>,
    pub ttl_max: Duration,
}

impl SignGrant {
    fn is_for(&self, auth: &str) -> bool {
        *self.auth == *auth || *self.auth == *ANY
    }

    fn allows(&self, auth: &str, roles: &[String], ttl: Duration) -> bool {
        self.is_for(auth) && roles.iter().all(|role| self.has(role)) && ttl <= self.ttl_max
    }

    fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|known| **known == *role)
    }

    /// What it lacks for these tokens, and the whole line that would have it.
    fn lacking(&self, roles: &[String], ttl: Duration) -> (String, String) {
        let mut all: Vec<String> = self.roles.iter().map(ToString::to_string).collect();
        match roles.iter().find(|role| !self.has(role)) {
            Some(role) => {
                all.push(role.clone());
                (format!("the role `{role}` in tokens"), sign_line(&self.auth, &all, self.ttl_max))
            }
            None => (format!("tokens valid for {} s", ttl.as_secs()), sign_line(&self.auth, &all, ttl)),
        }
    }
}

fn sign_line(auth: &str, roles: &[String], ttl_max: Duration) -> String {
    let roles: Vec<String> = roles.iter().map(|role| format!("{role:?}")).collect();
    let (roles, ttl) = (roles.join(", "), ttl_max.as_secs());
    format!("`sign = {{ auth = {auth:?}, roles = [{roles}], ttl_max = \"{ttl}s\" }}`")
}

/// A token that may be signed, by the name of its issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    pub auth: Arc<str>,
    pub roles: Vec<String>,
    pub ttl: Duration,
}

/// The use of password hashing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passwords;

/// How a service may use a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    Read,
    ReadWrite,
}

/// A database as one service may use it: the key of its role and its pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseGrant {
    pub service: Arc<str>,
    pub database: Arc<str>,
    pub mode: Mode,
}

/// A refusal. The guest sees only that it was refused; this text is for the operator's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{service}` may not use {what}{}; to allow it, add {line} to {}", .word.rule().map(|rule| format!(": {rule}")).unwrap_or_default(), .word.table(.service))]
pub struct Denied {
    pub service: Arc<str>,
    pub what: String,
    pub line: String,
    pub word: Word,
}

impl Grants {
    pub fn new(service: Arc<str>, manifest: PathBuf, permissions: Permissions) -> Self {
        let (manifest, written) = (manifest.into(), permissions.clone());
        Self { service, manifest, written, permissions, ceiling: None, hidden: Vec::new() }
    }

    /// What the manifest says, whatever the ceiling does; for whoever makes other grants of it.
    pub fn written(&self) -> &Permissions {
        &self.written
    }

    /// The file that grants, for messages.
    pub fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// The databases this service may use, by name.
    pub fn databases(&self) -> impl Iterator<Item = Granted<DatabaseGrant>> + '_ {
        self.permissions.postgres.iter().map(|(database, mode)| self.granted(database, *mode))
    }

    /// Every permission in a word or two, for people: `postgres users (read)`.
    pub fn list(&self) -> Vec<String> {
        self.permissions.list()
    }

    /// # Errors
    /// [`Denied`] when the manifest does not grant this database to this service.
    pub fn postgres(&self, database: &str) -> Result<Granted<DatabaseGrant>, Denied> {
        match self.permissions.postgres.get_key_value(database) {
            Some((database, mode)) => Ok(self.granted(database, *mode)),
            None => Err(Denied {
                service: self.service.clone(),
                what: format!("the database `{database}`"),
                line: format!("`postgres = {{ {database} = \"read-write\" }}`"),
                word: self.word(self.written.postgres.contains_key(database)),
            }),
        }
    }

    /// Whether a token of `auth` with these roles and this lifetime may be signed.
    ///
    /// # Errors
    /// [`Denied`] with the whole line that would allow it.
    pub fn sign(&self, auth: &str, roles: Vec<String>, ttl: Duration) -> Result<Granted<Signing>, Denied> {
        if let Some(grant) = self.permissions.sign.as_ref().filter(|grant| grant.allows(auth, &roles, ttl)) {
            return Ok(Granted(Signing { auth: grant.auth.clone(), roles, ttl }));
        }
        let is_written = self.written.sign.as_ref().is_some_and(|grant| grant.allows(auth, &roles, ttl));
        let says_no = match &self.ceiling {
            Some(ceiling) if is_written => ceiling.sign(),
            _ => self.written.sign.as_ref(),
        };
        let (what, line) = match says_no.filter(|grant| grant.is_for(auth)) {
            Some(grant) => grant.lacking(&roles, ttl),
            None => (format!("the signer `{auth}`"), sign_line(auth, &roles, ttl)),
        };
        Err(Denied { service: self.service.clone(), what, line, word: self.word(is_written) })
    }

    /// What may be signed at all.
    pub fn signs(&self) -> Option<&SignGrant> {
        self.permissions.sign.as_ref()
    }

    /// # Errors
    /// [`Denied`] when the manifest does not grant it to this service.
    pub fn passwords(&self) -> Result<Granted<Passwords>, Denied> {
        match self.permissions.passwords {
            true => Ok(Granted(Passwords)),
            false => Err(Denied {
                service: self.service.clone(),
                what: "password hashing".into(),
                line: "`passwords = true`".into(),
                word: self.word(self.written.passwords),
            }),
        }
    }

    fn granted(&self, database: &Arc<str>, mode: Mode) -> Granted<DatabaseGrant> {
        Granted(DatabaseGrant { service: self.service.clone(), database: database.clone(), mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> Grants {
        let postgres = BTreeMap::from([("users".into(), Mode::ReadWrite), ("stats".into(), Mode::Read)]);
        Grants::new("orders".into(), "manifests/shop.toml".into(), Permissions { postgres, ..Permissions::default() })
    }

    #[test]
    fn a_granted_database_comes_with_its_mode() {
        let granted = grants().postgres("stats").unwrap();
        let expected = DatabaseGrant { service: "orders".into(), database: "stats".into(), mode: Mode::Read };
        assert_eq!(granted.get(), &expected);
        let all: Vec<_> = grants().databases().map(|granted| granted.get().database.clone()).collect();
        assert_eq!(all, ["stats", "users"].map(Arc::<str>::from));
    }

    #[test]
    fn a_denial_names_the_line_that_would_allow_it() {
        let denied = grants().postgres("carts").unwrap_err().to_string();
        let expected = "`orders` may not use the database `carts`; to allow it, add `postgres = { carts = \"read-write\" }` \
                        to `services.orders.permissions` in manifests/shop.toml";
        assert_eq!(denied, expected);
    }

    #[test]
    fn a_service_without_grants_reaches_nothing() {
        let none = Grants::new("a".into(), "a.toml".into(), Permissions::default());
        assert_eq!(none.databases().count(), 0);
        assert!(none.postgres("users").is_err());
    }
}
