//! `permissions.secrets`: which secrets of the manifest a service may read.
//!
//! Judges names; values never come here.

use std::{collections::BTreeSet, sync::Arc};

use document::source::Key;

use super::{ANY, Permission, Reading, lacking_names, list_of};
use crate::{Denied, Granted, Grants, Permissions};

/// Names of `[secrets]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Secrets(pub BTreeSet<Arc<str>>);

/// A secret that a service may read, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretGrant {
    pub service: Arc<str>,
    pub name: Arc<str>,
}

impl Permission for Secrets {
    const KEY: &'static str = "secrets";
    type Raw = Vec<String>;

    fn read(raw: Self::Raw, key: &Key<'_>, reading: &mut Reading<'_>) -> Self {
        Self(raw.iter().enumerate().map(|(index, name)| reading.name(&key.item(index), name)).collect())
    }

    fn within(&self, ceiling: &Self) -> Self {
        match ceiling.0.contains(ANY) {
            true => self.clone(),
            false => Self(self.0.intersection(&ceiling.0).cloned().collect()),
        }
    }

    fn lacking(&self, need: &Self) -> Self {
        Self(lacking_names(&self.0, &need.0))
    }

    fn plus(&self, more: &Self) -> Self {
        Self(self.0.union(&more.0).cloned().collect())
    }

    fn value(&self) -> Option<String> {
        list_of(&self.0)
    }

    fn words(&self) -> Vec<String> {
        self.0.iter().map(|name| format!("secrets {name}")).collect()
    }
}

impl Grants {
    /// The secrets this service may read, by name.
    pub fn secrets(&self) -> impl Iterator<Item = Granted<SecretGrant>> + '_ {
        self.left.secrets.0.iter().map(|name| self.granted_secret(name))
    }

    /// # Errors
    /// [`Denied`] when the manifest does not grant this secret to this service.
    pub fn secret(&self, name: &str) -> Result<Granted<SecretGrant>, Denied> {
        match self.left.secrets.0.get(name) {
            Some(name) => {
                let index = self.written.secrets.0.iter().position(|written| written == name);
                let need = || Permissions { secrets: Secrets([name.clone()].into()), ..Permissions::default() };
                let grant = SecretGrant { service: self.service.clone(), name: name.clone() };
                Ok(self.granted(Secrets::KEY, index, need, grant))
            }
            None => Err(self.denied(
                format!("secrets {name}"),
                format!("`secrets` does not name `{name}`"),
                format!("secrets = [{}]", super::quoted(name)),
                self.written.secrets.0.contains(name),
            )),
        }
    }

    /// The refusal of everything to a service that is told nothing.
    pub fn no_secrets(&self) -> Denied {
        let (target, rule) = ("its configuration".to_owned(), "no secret and no variable is granted".to_owned());
        self.denied(target, rule, "secrets = [\"NAME\"]".to_owned(), !self.written.secrets.0.is_empty())
    }

    fn granted_secret(&self, name: &Arc<str>) -> Granted<SecretGrant> {
        Granted(SecretGrant { service: self.service.clone(), name: name.clone() })
    }
}
