//! JSON Web Key Sets (RFC 7517): which of the keys in one are for verifying tokens here.
//!
//! A key for something else is left out, not refused: others publish keys of many kinds in one
//! set. A key says its algorithm itself or by its kind, and never one that it is not.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{Algorithm, KeySet, VerifyingKey, json};

/// The largest document that is looked at.
pub const JWKS_BYTES_MAX: usize = 256 << 10;

/// Whether shared secrets in a set count. They never do where others can read the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    Accept,
    Ignore,
}

/// Why a document is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    #[error("it is larger than 256 KiB")]
    TooLarge,
    #[error("it is no JSON object without repeated members")]
    NoObject,
    #[error("it is neither a key (`kty`) nor a set of keys (`keys`)")]
    NoKeys,
    #[error("none of its keys can verify tokens here; write keys of EdDSA, RS256 or ES256")]
    NoneUsable,
}

/// The usable keys of a set, or of a single key.
///
/// # Errors
/// [`JwksError`] when there is none.
pub fn parse(document: &[u8], secrets: Secrets) -> Result<KeySet, JwksError> {
    if document.len() > JWKS_BYTES_MAX {
        return Err(JwksError::TooLarge);
    }
    let document = json::object(document).ok_or(JwksError::NoObject)?;
    let keys: Vec<VerifyingKey> = match document.get("keys") {
        Some(Value::Array(keys)) => keys.iter().filter_map(|jwk| key(jwk.as_object()?, secrets)).collect(),
        None if document.contains_key("kty") => key(&document, secrets).into_iter().collect(),
        _ => return Err(JwksError::NoKeys),
    };
    match keys.is_empty() {
        true => Err(JwksError::NoneUsable),
        false => Ok(KeySet::new(keys)),
    }
}

/// One key, if it is for verifying by an algorithm of ours.
fn key(jwk: &Map<String, Value>, secrets: Secrets) -> Option<VerifyingKey> {
    let for_signatures = jwk.get("use").is_none_or(|purpose| purpose == "sig");
    let verifies = match jwk.get("key_ops") {
        None => true,
        Some(operations) => operations.as_array()?.iter().any(|operation| operation == "verify"),
    };
    if !for_signatures || !verifies {
        return None;
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.to_owned()),
    };
    let key = material(jwk, secrets)?;
    let named = match jwk.get("alg") {
        None => true,
        Some(name) => name.as_str()?.parse() == Ok(key.algorithm()),
    };
    named.then(|| key.named(kid))
}

fn material(jwk: &Map<String, Value>, secrets: Secrets) -> Option<VerifyingKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let exactly = |name: &str| <[u8; 32]>::try_from(bytes(name)?).ok();
    match (text("kty")?, text("crv")) {
        ("OKP", Some("Ed25519")) => Some(VerifyingKey::ed25519(exactly("x")?)),
        ("EC", Some("P-256")) => Some(VerifyingKey::p256(exactly("x")?, exactly("y")?)),
        ("RSA", _) => VerifyingKey::rsa(&bytes("n")?, &bytes("e")?).ok(),
        ("oct", _) if secrets == Secrets::Accept && text("alg") == Some(Algorithm::Hs256.name()) => {
            VerifyingKey::secret(&bytes("k")?).ok()
        }
        _ => None,
    }
}
