//! Keys that verify: each is for one algorithm, which no token can change.
//!
//! The cryptography is ring's; this file decides which keys are good enough and which of several
//! a token is for.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest, hmac,
    signature::{self, RsaPublicKeyComponents, UnparsedPublicKey},
};
use serde_json::{Value, json};

use super::{Algorithm, jws::Jws};

/// As many bytes as a shared secret must have (RFC 7518 section 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// A key that tells a true signature from a false one.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    kid: Option<String>,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Ed25519([u8; 32]),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The two coordinates, one after the other.
    P256([u8; 64]),
    Secret(Vec<u8>),
}

/// Why a key is not good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    #[error("an RSA key must have 2048 to 8192 bits")]
    RsaSize,
    #[error("an RSA key's exponent must be odd, from 3 to 4294967295")]
    RsaExponent,
    #[error("a shared secret must have at least 32 bytes")]
    ShortSecret,
}

impl VerifyingKey {
    pub fn ed25519(public: [u8; 32]) -> Self {
        Self { kid: None, material: Material::Ed25519(public) }
    }

    pub fn p256(x: [u8; 32], y: [u8; 32]) -> Self {
        let mut point = [0; 64];
        point[..32].copy_from_slice(&x);
        point[32..].copy_from_slice(&y);
        Self { kid: None, material: Material::P256(point) }
    }

    /// Modulus and exponent, big-endian without leading zeros.
    ///
    /// # Errors
    /// [`WeakKey`] for sizes that are not accepted.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, WeakKey> {
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if n.first() == Some(&0) || !(2048..=8192).contains(&bits) {
            return Err(WeakKey::RsaSize);
        }
        let odd = e.last().is_some_and(|last| last % 2 == 1);
        if e.first() == Some(&0) || e.len() > 4 || !odd || e == [1] {
            return Err(WeakKey::RsaExponent);
        }
        Ok(Self { kid: None, material: Material::Rsa { n: n.to_vec(), e: e.to_vec() } })
    }

    /// # Errors
    /// [`WeakKey::ShortSecret`] below [`SECRET_BYTES_MIN`].
    pub fn secret(secret: &[u8]) -> Result<Self, WeakKey> {
        match secret.len() < SECRET_BYTES_MIN {
            true => Err(WeakKey::ShortSecret),
            false => Ok(Self { kid: None, material: Material::Secret(secret.to_vec()) }),
        }
    }

    pub fn named(self, kid: Option<String>) -> Self {
        Self { kid, ..self }
    }

    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub fn algorithm(&self) -> Algorithm {
        match &self.material {
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Secret(_) => Algorithm::Hs256,
        }
    }

    fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Ed25519(public) => {
                UnparsedPublicKey::new(&signature::ED25519, public).verify(message, signature).is_ok()
            }
            Material::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Material::P256(point) => {
                let mut uncompressed = [4; 65];
                uncompressed[1..].copy_from_slice(point);
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, uncompressed)
                    .verify(message, signature)
                    .is_ok()
            }
            Material::Secret(secret) => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), message, signature).is_ok()
            }
        }
    }

    /// Whether it has signed `message`, with a signature in the form of X.509 (RFC 3279) as it is under files, and not in
    /// that of tokens. A shared secret signs nothing there.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::P256(point) => {
                let mut uncompressed = [4; 65];
                uncompressed[1..].copy_from_slice(point);
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, uncompressed)
                    .verify(message, signature)
                    .is_ok()
            }
            Material::Ed25519(_) | Material::Rsa { .. } => self.accepts(message, signature),
            Material::Secret(_) => false,
        }
    }

    /// The members that a thumbprint covers, in their order (RFC 7638 section 3.2, RFC 8037
    /// appendix A.3); none for a secret, which is published nowhere.
    fn required(&self) -> Option<String> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.material {
            Material::Ed25519(x) => Some(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x))),
            Material::Rsa { n, e } => Some(format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n))),
            Material::P256(point) => Some(format!(
                r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                text(&point[..32]),
                text(&point[32..])
            )),
            Material::Secret(_) => None,
        }
    }

    /// The name a key has by its own content.
    pub fn thumbprint(&self) -> Option<String> {
        let required = self.required()?;
        Some(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, required.as_bytes())))
    }

    /// Its public form (RFC 7517); none for a secret.
    pub fn to_jwk(&self) -> Option<Value> {
        let mut jwk: Value = serde_json::from_str(&self.required()?).expect("our own JSON");
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm().name());
        if let Some(kid) = &self.kid {
            jwk["kid"] = json!(kid);
        }
        Some(jwk)
    }
}

/// Which key it is, never the key.
impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("algorithm", &self.algorithm()).field("kid", &self.kid).finish()
    }
}

/// All keys of one issuer at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<VerifyingKey>);

/// Why no key of a set fits a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// A newer set may have it.
    Unknown,
    Wrong(&'static str),
}

impl KeySet {
    pub fn new(keys: Vec<VerifyingKey>) -> Self {
        Self(keys)
    }

    pub fn keys(&self) -> &[VerifyingKey] {
        &self.0
    }

    /// Whether it is one key without a name, which every token is for.
    pub(super) fn is_nameless(&self) -> bool {
        matches!(self.0.as_slice(), [only] if only.kid.is_none())
    }

    /// Whether the one key that `jws` is for has signed it.
    pub(super) fn verify(&self, jws: &Jws<'_>) -> Result<(), NoKey> {
        let key = self.find(jws)?;
        // The key says how it is checked; the header can only agree.
        if key.algorithm() != jws.algorithm {
            return Err(NoKey::Wrong("its algorithm is not that of its key"));
        }
        match key.accepts(jws.signed, &jws.signature) {
            true => Ok(()),
            false => Err(NoKey::Wrong("its signature is wrong")),
        }
    }

    /// By name; a key without a name answers to every name if it is the only one there is.
    fn find(&self, jws: &Jws<'_>) -> Result<&VerifyingKey, NoKey> {
        if let [only] = self.0.as_slice()
            && (only.kid.is_none() || jws.kid.is_none())
        {
            return Ok(only);
        }
        let fits = |key: &&VerifyingKey| match &jws.kid {
            Some(kid) => key.kid.as_ref() == Some(kid),
            None => key.algorithm() == jws.algorithm,
        };
        let mut fitting = self.0.iter().filter(fits);
        match (fitting.next(), fitting.next(), &jws.kid) {
            (Some(key), None, _) => Ok(key),
            (None, _, Some(_)) => Err(NoKey::Unknown),
            (None, _, None) => Err(NoKey::Wrong("its algorithm is that of no key")),
            (Some(_), Some(_), Some(_)) => Err(NoKey::Wrong("its key id is that of several keys")),
            (Some(_), Some(_), None) => Err(NoKey::Wrong("it names no key, and several would fit")),
        }
    }
}
