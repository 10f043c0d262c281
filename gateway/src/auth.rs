//! Who is asking: bearer tokens (RFC 6750) and whom they speak for.
//!
//! Decides how a token travels and what an identity may hold. Whether a token is true is decided
//! by a [`Verify`], which is a [`Verifier`] outside of tests; whether it is asked for at all by
//! the route's [`Access`].

mod algorithm;
mod claims;
mod identity;
mod json;
pub mod jwks;
mod jws;
mod key;
mod known;
mod pem;
mod roles;
mod signing;
mod source;
mod verifier;

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, GetAll},
};

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claims::{Claims, Rules, now};
pub use identity::{Access, Identity, TokenError, Verified, Verify};
pub use jws::TOKEN_BYTES_MAX;
pub use key::{KeySet, SECRET_BYTES_MIN, VerifyingKey, WeakKey};
pub use pem::{PemError, PemKey};
pub use roles::{NoClaim, RolesClaim};
pub use signing::{SigningError, SigningKey};
pub use source::{KeySource, Keys, LOAD_TIMEOUT, Loading, Pace};
pub(crate) use verifier::issuer_of;
pub use verifier::{Verifier, verify};

/// The one bearer token of a request.
///
/// # Errors
/// [`TokenError::Missing`] without `Authorization`; [`TokenError::OtherScheme`] when it holds no
/// bearer token; [`TokenError::Refused`] when it is repeated or no text.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, TokenError> {
    let value = only(headers.get_all(AUTHORIZATION))?;
    let text = value.to_str().map_err(|_not_ascii| TokenError::Refused("`Authorization` is not ASCII"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_matches(' ')),
        _ => Err(TokenError::OtherScheme),
    }
}

fn only<'a>(values: GetAll<'a, HeaderValue>) -> Result<&'a HeaderValue, TokenError> {
    let mut values = values.iter();
    match (values.next(), values.next()) {
        (None, _) => Err(TokenError::Missing),
        (Some(value), None) => Ok(value),
        (Some(_), Some(_)) => Err(TokenError::Refused("`Authorization` is repeated")),
    }
}

#[cfg(test)]
mod tests;
