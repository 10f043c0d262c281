//! Tokens and passwords in a test: no cryptography, and the same each time.

use super::turn::{self, Kept};

thread_local! {
    static KEPT: Kept<()> = Kept::default();
}

/// Nothing is kept; a test has to have begun.
#[track_caller]
fn with<R>(call: &str, work: impl FnOnce(&mut ()) -> R) -> R {
    turn::with(&KEPT, call, work)
}

pub(crate) mod tokens {
    use super::*;
    use crate::bindings::archipel::identity::tokens::{Claims, Error, Token};

    /// It says whose it is: `token:main:7:user,admin`.
    pub(crate) fn sign(auth: &str, claims: &Claims) -> Result<Token, Error> {
        with("`tokens::sign`", |_state| {
            let value = format!("token:{auth}:{}:{}", claims.subject, claims.roles.join(","));
            Ok(Token { value, expires_in_seconds: claims.ttl_seconds })
        })
    }
}

pub(crate) mod passwords {
    use super::*;
    use crate::bindings::archipel::identity::passwords::Error;

    /// Not of the password itself, so that a test sees whether a service keeps that.
    pub(crate) fn hash(password: &str) -> Result<String, Error> {
        with("`passwords::hash`", |_state| match password.len() {
            1..=1024 => Ok(of(password)),
            _ => Err(Error::Invalid("a password has 1 to 1024 bytes".to_owned())),
        })
    }

    pub(crate) fn verify(password: &str, hash: Option<&str>) -> Result<bool, Error> {
        with("`passwords::verify`", |_state| Ok(hash == Some(&of(password))))
    }

    /// FNV-1a: enough to tell two texts apart.
    fn of(password: &str) -> String {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        format!("$fake${:016x}", password.bytes().fold(0xcbf2_9ce4_8422_2325, step))
    }
}
