//! What no service may exceed, whatever its manifest grants: the operator's own word.
//!
//! Narrows permissions to what a manifest and the ceiling both allow. What a ceiling does not name is
//! not allowed. Where it comes from is decided elsewhere; it never changes while the host runs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Grants, Permissions, SignGrant, Word,
    call::CallScope,
    env::EnvGrant,
    keyvalue::KeyValueScope,
    net::{NetAllow, NetPermission},
    secrets, topic,
};

/// In the place of a name in a ceiling: every name that it does not write itself.
pub const ANY: &str = "*";

/// The operator's limit on the permissions of every service.
#[derive(Debug, Clone, PartialEq)]
pub struct Ceiling {
    /// For messages.
    file: Arc<Path>,
    /// Names may be [`ANY`].
    allowed: Permissions,
    env: EnvGrant,
}

impl Ceiling {
    pub fn new(file: PathBuf, allowed: Permissions, env: EnvGrant) -> Self {
        Self { file: file.into(), allowed, env }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn allows_variable(&self, name: &str) -> bool {
        self.env.allows(name)
    }

    pub(super) fn net(&self) -> &NetPermission {
        &self.allowed.net
    }

    pub(super) fn sign(&self) -> Option<&SignGrant> {
        self.allowed.sign.as_ref()
    }

    /// What is left of `written`.
    fn narrowed(&self, written: &Permissions) -> Permissions {
        let allowed = &self.allowed;
        Permissions {
            postgres: both(&written.postgres, &allowed.postgres, |mode, most| Some(*mode.min(most))),
            sign: written.sign.as_ref().and_then(|sign| sign.within(allowed.sign.as_ref()?)),
            passwords: written.passwords && allowed.passwords,
            call: both(&written.call, &allowed.call, CallScope::within),
            net: written.net.within(&allowed.net),
            keyvalue: both(&written.keyvalue, &allowed.keyvalue, KeyValueScope::within),
            publish: topic::within(&written.publish, &allowed.publish),
            subscribe: topic::within(&written.subscribe, &allowed.subscribe),
            read: written.read.within(&allowed.read),
            write: written.write.within(&allowed.write),
            secrets: secrets::within(&written.secrets, &allowed.secrets),
            sockets: written.sockets && allowed.sockets,
        }
    }
}

fn both<T>(
    written: &BTreeMap<Arc<str>, T>,
    ceiling: &BTreeMap<Arc<str>, T>,
    narrow: impl Fn(&T, &T) -> Option<T>,
) -> BTreeMap<Arc<str>, T> {
    let narrowed = |(name, scope): (&Arc<str>, &T)| {
        let most = ceiling.get(name).or_else(|| ceiling.get(ANY))?;
        Some((name.clone(), narrow(scope, most)?))
    };
    written.iter().filter_map(narrowed).collect()
}

impl SignGrant {
    fn within(&self, most: &Self) -> Option<Self> {
        let roles = self.roles.iter().filter(|role| most.roles.contains(role)).cloned().collect();
        let ttl_max = self.ttl_max.min(most.ttl_max);
        most.is_for(&self.auth).then(|| Self { auth: self.auth.clone(), roles, ttl_max })
    }
}

impl Grants {
    /// The same as far as `ceiling` allows it. `hidden` are the variables that it hides, for messages.
    pub fn under(self, ceiling: Arc<Ceiling>, hidden: Vec<String>) -> Self {
        Self { permissions: ceiling.narrowed(&self.written), ceiling: Some(ceiling), hidden, ..self }
    }

    /// The same service with what another manifest would say, under the same ceiling.
    pub fn with(&self, written: Permissions) -> Self {
        let permissions = match &self.ceiling {
            Some(ceiling) => ceiling.narrowed(&written),
            None => written.clone(),
        };
        Self { written, permissions, ..self.clone() }
    }

    /// As if the manifest granted whatever the ceiling allows: only to tell what no manifest can grant.
    pub fn at_most(&self) -> Self {
        match &self.ceiling {
            Some(ceiling) => self.with(ceiling.allowed.clone()),
            None => self.clone(),
        }
    }

    /// The same without its ceiling: only to tell what that takes.
    pub fn as_written(&self) -> Self {
        Self { permissions: self.written.clone(), ceiling: None, hidden: Vec::new(), ..self.clone() }
    }

    pub fn ceiling(&self) -> Option<&Ceiling> {
        self.ceiling.as_deref()
    }

    /// What the manifest grants and the ceiling takes, in the words of [`Grants::list`].
    pub fn cut(&self) -> Vec<String> {
        let left = self.permissions.list();
        let mut cut: Vec<String> = self.written.list().into_iter().filter(|word| !left.contains(word)).collect();
        for (callee, scope) in &self.permissions.call {
            if let CallScope::Only(only) = scope
                && self.written.call.get(callee) != Some(scope)
            {
                let only: Vec<String> = only.iter().map(ToString::to_string).collect();
                cut.push(format!("call {callee} for more than {}", only.join(", ")));
            }
        }
        if let (Some(written), Some(sign)) = (&self.written.sign, &self.permissions.sign)
            && sign.ttl_max < written.ttl_max
        {
            cut.push(format!("sign {} for more than {} s", sign.auth, sign.ttl_max.as_secs()));
        }
        cut.extend(self.hidden.iter().map(|name| format!("env {name}")));
        cut
    }

    /// Whether it may reach everything.
    pub fn is_unrestricted(&self) -> bool {
        self.permissions.net.allow == NetAllow::Everything
    }

    /// Whose word refuses something that the manifest grants, or does not.
    pub(super) fn word(&self, is_written: bool) -> Word {
        match &self.ceiling {
            Some(ceiling) if is_written => Word::Ceiling(ceiling.file.clone()),
            _ => Word::Manifest(self.manifest.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
