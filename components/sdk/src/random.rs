//! Random numbers: the host's in a component, the standard library's seed in a native test.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::wasi::random::random::get_random_u64 as u64;

#[cfg(not(target_family = "wasm"))]
pub(crate) fn u64() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

pub(crate) fn u128() -> u128 {
    (u128::from(u64()) << 64) | u128::from(u64())
}
