//! What no service may exceed, whatever its manifest grants: the operator's own word.
//!
//! What a ceiling does not name is not allowed. Where it comes from is decided elsewhere; it never changes
//! while the host runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Grants, Permissions, uses::Uses};

/// The operator's limit on the permissions of every service.
#[derive(Debug, Clone, PartialEq)]
pub struct Ceiling {
    /// For messages.
    pub(crate) file: Arc<Path>,
    /// Names may be [`ANY`](crate::ANY).
    allowed: Permissions,
}

impl Ceiling {
    pub fn new(file: PathBuf, allowed: Permissions) -> Self {
        Self { file: file.into(), allowed }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn allowed(&self) -> &Permissions {
        &self.allowed
    }
}

impl Grants {
    /// The same as far as `ceiling` allows it.
    #[must_use]
    pub fn under(self, ceiling: Arc<Ceiling>) -> Self {
        Self { left: self.written.within(&ceiling.allowed), ceiling: Some(ceiling), ..self }
    }

    /// The same service with what another manifest would say, under the same ceiling.
    #[must_use]
    pub fn with(&self, written: Permissions) -> Self {
        let left = match &self.ceiling {
            Some(ceiling) => written.within(&ceiling.allowed),
            // What an audit lets through stays let through.
            None if self.audit.is_some() => self.left.plus(&written),
            None => written.clone(),
        };
        Self { uses: Uses::of(&written), written, left, ..self.clone() }
    }

    pub fn ceiling(&self) -> Option<&Ceiling> {
        self.ceiling.as_deref()
    }

    /// What `need` asks for and is not granted.
    pub fn lacking(&self, need: &Permissions) -> Permissions {
        self.left.lacking(need)
    }

    /// As if the manifest granted whatever the ceiling allows: only to tell what no manifest can grant.
    #[must_use]
    pub fn at_most(&self) -> Self {
        self.ceiling().map_or_else(|| self.clone(), |ceiling| self.with(ceiling.allowed.clone()))
    }

    /// The same without its ceiling: only to tell what that takes.
    #[must_use]
    pub fn as_written(&self) -> Self {
        Self { left: self.written.clone(), ceiling: None, ..self.clone() }
    }

    /// Of what is `lacking`, that which the ceiling would take from any manifest that granted it.
    pub fn beyond_ceiling(&self, lacking: &Permissions) -> Permissions {
        let granted = self.written.plus(lacking);
        let Some(ceiling) = &self.ceiling else { return Permissions::default() };
        // What a manifest lacks even when it says it has been denied by the manifest itself.
        let own = granted.lacking(lacking);
        own.lacking(&granted.within(&ceiling.allowed).lacking(lacking))
    }

    /// What the manifest grants and the ceiling takes, in the words of [`Grants::words`].
    pub fn cut(&self) -> Vec<String> {
        let left = self.left.words();
        let mut cut: Vec<String> = self.written.words().into_iter().filter(|word| !left.contains(word)).collect();
        let hidden = self.ceiling.iter().flat_map(|ceiling| self.left.env.hidden_by(&ceiling.allowed.env));
        cut.extend(hidden.filter(|name| !self.written.env.denies(name)).map(|name| format!("env {name}")));
        if let (Some(written), Some(sign)) = (&self.written.sign.0, &self.left.sign.0)
            && sign.ttl_max < written.ttl_max
        {
            cut.push(format!("sign {} for more than {} s", sign.auth, sign.ttl_max.as_secs()));
        }
        cut
    }
}

#[cfg(test)]
mod tests;
