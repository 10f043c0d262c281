//! `permissions.passwords`: whether a service may have passwords hashed and compared by the host.

use document::source::Key;

use super::{Permission, Reading};
use crate::{Denied, Granted, Grants, Permissions};

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Passwords(pub bool);

/// The use of password hashing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashing;

impl Permission for Passwords {
    const KEY: &'static str = "passwords";
    type Raw = bool;

    fn read(raw: bool, _key: &Key<'_>, _reading: &mut Reading<'_>) -> Self {
        Self(raw)
    }

    fn within(&self, ceiling: &Self) -> Self {
        Self(self.0 && ceiling.0)
    }

    fn lacking(&self, need: &Self) -> Self {
        Self(need.0 && !self.0)
    }

    fn plus(&self, more: &Self) -> Self {
        Self(self.0 || more.0)
    }

    fn value(&self) -> Option<String> {
        self.0.then(|| "true".to_owned())
    }

    fn words(&self) -> Vec<String> {
        self.0.then(|| "passwords".to_owned()).into_iter().collect()
    }
}

impl Grants {
    /// # Errors
    /// [`Denied`] when the manifest does not grant it to this service.
    pub fn passwords(&self) -> Result<Granted<Hashing>, Denied> {
        match self.left.passwords.0 {
            true => {
                let need = || Permissions { passwords: Passwords(true), ..Permissions::default() };
                Ok(self.granted(Passwords::KEY, Some(0), need, Hashing))
            }
            false => Err(self.denied(
                "passwords".to_owned(),
                "`passwords` is not `true`".to_owned(),
                "passwords = true".to_owned(),
                self.written.passwords.0,
            )),
        }
    }
}
