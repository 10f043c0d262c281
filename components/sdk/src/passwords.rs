//! Passwords: the host hashes them, few at a time. A service keeps the hash and nothing else.

pub use crate::bindings::archipel::identity::passwords::Error;
use crate::host::passwords;

/// What to keep of a password of 1 to 1024 bytes.
pub fn hash(password: &str) -> Result<String, Error> {
    passwords::hash(password)
}

/// Whether `hash` was made of this password. None does the same work and is false, so that an
/// account that does not exist costs what one that does costs.
pub fn verify(password: &str, hash: Option<&str>) -> Result<bool, Error> {
    passwords::verify(password, hash)
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Overloaded => Self::Unavailable("as many passwords are being hashed as may be".to_owned()),
            Error::AccessDenied(text) => Self::Internal(format!("hashing is not granted: {text}")),
            Error::Invalid(text) => Self::Internal(format!("the host cannot work with this hash: {text}")),
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
