//! Tokens: the host signs, the key never leaves it. `permissions.sign` decides for which roles
//! and for how long.

pub use crate::bindings::archipel::identity::tokens::{Claims, Error, Token};
use crate::host::tokens;

/// A token for `subject` with these roles, signed by the `auth` that the manifest grants.
pub fn sign(auth: &str, subject: String, roles: &[&str], seconds: u32) -> Result<Token, Error> {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    tokens::sign(auth, &Claims { subject, roles, ttl_seconds: seconds })
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Overloaded => Self::Unavailable("as many tokens are being signed as may be".to_owned()),
            Error::AccessDenied(text) => Self::Internal(format!("signing is not granted: {text}")),
            Error::Invalid(text) => Self::Internal(format!("no token can say this: {text}")),
            Error::Other(text) => Self::Internal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_overload_is_worth_another_try() {
        let status = |error: Error| crate::Error::from(error).status();
        assert_eq!(status(Error::Overloaded), 503);
        for error in [Error::AccessDenied, Error::Invalid, Error::Other] {
            assert_eq!(status(error(String::new())), 500);
        }
    }
}
