//! `permissions.passwords`: whether a service may have passwords hashed and compared by the host.

use document::source::Key;

use super::{Permission, Reading};
use crate::{Denied, Granted, Grants, Import, Permissions};

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Passwords(pub bool);

/// The use of password hashing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashing;

flag!(Passwords, "passwords", |import| import.is_ours("archipel:identity/passwords"));

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
