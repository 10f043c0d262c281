//! Keys that sign. A key never leaves this type: it prints nothing of itself and gives away only
//! its public half.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use serde_json::{Map, Value, json};

use super::{PemError, VerifyingKey, WeakKey};

/// A private key, or a secret shared with others.
pub struct SigningKey {
    public: VerifyingKey,
    material: Material,
}

enum Material {
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Secret(hmac::Key),
}

/// The system's random numbers failed, or a key that was checked could not sign.
#[derive(Debug, thiserror::Error)]
#[error("signing failed: the system gave no random numbers")]
pub struct SigningError;

impl SigningKey {
    /// An Ed25519 key from its seed; `None` when `public` is not the public key of it.
    pub fn ed25519(seed: &[u8; 32], public: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?;
        Some(Self::of_ed25519(pair))
    }

    /// An Ed25519 key from its seed alone.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self::of_ed25519)
    }

    /// # Errors
    /// [`WeakKey`] for a secret that is too short.
    pub fn secret(secret: &[u8]) -> Result<Self, WeakKey> {
        let public = VerifyingKey::secret(secret)?;
        Ok(Self { public, material: Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret)) })
    }

    /// A private key in PKCS#8, named by its thumbprint.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, PemError> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self::of_ed25519(pair));
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new()) {
            let half = |range| {
                let point = pair.public_key().as_ref();
                <[u8; 32]>::try_from(&point[range]).expect("an uncompressed point of P-256 has 65 bytes")
            };
            let public = VerifyingKey::p256(half(1..33), half(33..65));
            return Ok(Self::named(public, Material::P256(pair)));
        }
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| PemError::Kind)?;
        let components = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let public = VerifyingKey::rsa(&components.n, &components.e)?;
        Ok(Self::named(public, Material::Rsa(Box::new(pair))))
    }

    fn of_ed25519(pair: Ed25519KeyPair) -> Self {
        let public = pair.public_key().as_ref().try_into().expect("an Ed25519 key has 32 bytes");
        Self::named(VerifyingKey::ed25519(public), Material::Ed25519(pair))
    }

    fn named(public: VerifyingKey, material: Material) -> Self {
        let kid = public.thumbprint();
        Self { public: public.named(kid), material }
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Whether signing takes long enough to be kept away from threads that serve requests.
    pub fn is_slow(&self) -> bool {
        matches!(self.material, Material::Rsa(_))
    }

    /// A token that says `claims`.
    ///
    /// # Errors
    /// [`SigningError`] when the system gives no random numbers.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, SigningError> {
        let mut header = json!({ "alg": self.public.algorithm().name(), "typ": "JWT" });
        if let Some(kid) = self.public.kid() {
            header["kid"] = json!(kid);
        }
        let part = |value: String| URL_SAFE_NO_PAD.encode(value);
        let claims = serde_json::to_string(claims).expect("a JSON value is JSON");
        let mut token = format!("{}.{}", part(header.to_string()), part(claims));
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let random = SystemRandom::new();
        match &self.material {
            Material::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Material::P256(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).map_err(|_| SigningError)
            }
            Material::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| SigningError)?;
                Ok(signature)
            }
            Material::Secret(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }
}

/// Its public half only.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}
