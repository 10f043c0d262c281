//! The compact form of a signed token (RFC 7515 section 7.1), read so strictly that a text has one
//! reading or none.
//!
//! Decides what a token may look like before any key is looked for. Nothing that a header names
//! (a key, an address, a certificate) is ever used or fetched: whoever sends one is refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{Algorithm, json};

/// The longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;
/// The longest name of a key.
const KID_BYTES_MAX: usize = 256;

/// Members that would let a token choose its own key or change what its signature covers.
const REFUSED: &[(&str, &str)] = &[
    ("crit", "its header has `crit`"),
    ("zip", "its header has `zip`"),
    ("b64", "its header has `b64`"),
    ("enc", "it is encrypted, not signed"),
    ("jwk", "its header carries a key (`jwk`)"),
    ("jku", "its header names keys (`jku`)"),
    ("x5u", "its header names certificates (`x5u`)"),
    ("x5c", "its header carries certificates (`x5c`)"),
];

/// A token in parts. Nothing in it is true yet.
pub(super) struct Jws<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// Header and payload as they were sent.
    pub(super) signed: &'t [u8],
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// # Errors
    /// What is wrong with its form.
    pub(super) fn parse(token: &'t str) -> Result<Self, &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("it is longer than 8 KiB");
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("it has not three parts");
        };
        let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
        let (algorithm, kid) = self::header(&decode(header)?)?;
        Ok(Self { algorithm, kid, signed, payload: decode(payload)?, signature: decode(signature)? })
    }
}

/// Unpadded, canonical and not empty.
fn decode(part: &str) -> Result<Vec<u8>, &'static str> {
    if part.is_empty() {
        return Err("one of its parts is empty");
    }
    URL_SAFE_NO_PAD.decode(part).map_err(|_| "one of its parts is not unpadded base64url")
}

fn header(bytes: &[u8]) -> Result<(Algorithm, Option<String>), &'static str> {
    let header = json::object(bytes).ok_or("its header is no JSON object without repeated members")?;
    if let Some((_, reason)) = REFUSED.iter().find(|(name, _)| header.contains_key(*name)) {
        return Err(reason);
    }
    let Some(Value::String(algorithm)) = header.get("alg") else {
        return Err("its header names no algorithm");
    };
    let algorithm = algorithm.parse().map_err(|_| "its header names an algorithm that is not accepted here")?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=KID_BYTES_MAX).contains(&kid.len()) => Some(kid.clone()),
        Some(_) => return Err("its key id is not a short text"),
    };
    match header.get("typ") {
        None | Some(Value::String(_)) => Ok((algorithm, kid)),
        Some(_) => Err("its type is not a text"),
    }
}
