//! Keys in PEM: a public key (SubjectPublicKeyInfo), or a private one (PKCS#8), which then signs.

mod error;

use rustls_pki_types::{
    PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer,
    pem::{self, PemObject as _},
};
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Reader as _, SliceReader, asn1::UintRef},
};

pub use error::PemError;

use super::{Algorithm, SigningKey, VerifyingKey};

/// What a PEM file holds.
#[allow(clippy::large_enum_variant, reason = "made once for each file, never kept in numbers")]
pub enum PemKey {
    Public(VerifyingKey),
    Private(SigningKey),
}

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

impl PemKey {
    /// The first key in `text`. `wanted` is what the manifest says it is for, if it says so.
    ///
    /// # Errors
    /// [`PemError`] when there is none that can be used so.
    pub fn parse(text: &str, wanted: Option<Algorithm>) -> Result<Self, PemError> {
        let key = match PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()) {
            Ok(private) => Self::Private(SigningKey::from_pkcs8(private.secret_pkcs8_der())?),
            Err(pem::Error::NoItemsFound) => Self::Public(public(text)?),
            Err(_) => return Err(PemError::NoKey),
        };
        let found = match &key {
            Self::Public(key) => key.algorithm(),
            Self::Private(key) => key.public().algorithm(),
        };
        match wanted {
            Some(wanted) if wanted != found => Err(PemError::OtherAlgorithm { found, wanted }),
            _ => Ok(key),
        }
    }

    /// The key that verifies.
    pub fn public(&self) -> &VerifyingKey {
        match self {
            Self::Public(key) => key,
            Self::Private(key) => key.public(),
        }
    }
}

fn public(text: &str) -> Result<VerifyingKey, PemError> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).map_err(|_| PemError::NoKey)?;
    let info = SubjectPublicKeyInfoRef::try_from(der.as_ref()).map_err(|_| PemError::NoKey)?;
    let bits = info.subject_public_key.as_bytes().ok_or(PemError::Kind)?;
    match (info.algorithm.oid, info.algorithm.parameters_oid()) {
        (ED25519, _) => Ok(VerifyingKey::ed25519(bits.try_into().map_err(|_| PemError::Kind)?)),
        (RSA, _) => {
            let (n, e) = rsa(bits).ok_or(PemError::Kind)?;
            Ok(VerifyingKey::rsa(n, e)?)
        }
        (EC, Ok(P256)) => match bits {
            [4, point @ ..] if point.len() == 64 => {
                let half = |range| <[u8; 32]>::try_from(&point[range]).expect("half of 64 bytes");
                Ok(VerifyingKey::p256(half(0..32), half(32..64)))
            }
            _ => Err(PemError::Kind),
        },
        _ => Err(PemError::Kind),
    }
}

/// Modulus and exponent of a PKCS#1 `RSAPublicKey`.
fn rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(der).ok()?;
    let parts = reader.sequence(|inside| Ok((inside.decode::<UintRef<'_>>()?, inside.decode::<UintRef<'_>>()?)));
    let (n, e) = parts.ok()?;
    reader.is_finished().then(|| (n.as_bytes(), e.as_bytes()))
}
