//! Why a key in PEM is none: for whoever reads one, and for whoever makes a signing key of it.

use crate::auth::{Algorithm, WeakKey};

/// Why a PEM file is no key of ours. Says nothing of the key itself.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    #[error("it holds neither `PUBLIC KEY` nor `PRIVATE KEY`; convert it with `openssl pkey`")]
    NoKey,
    #[error("it is not a key of Ed25519, P-256 or RSA")]
    Kind,
    #[error("its key is for {found}, not for {wanted}")]
    OtherAlgorithm { found: Algorithm, wanted: Algorithm },
    #[error(transparent)]
    Weak(#[from] WeakKey),
}
