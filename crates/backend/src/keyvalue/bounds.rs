//! How large keys, values and answers may be. Nothing is sent that is over a bound.

use std::time::Duration;

use super::{
    error::Error,
    invalid::{ID_MAX_BYTES, Invalid, KEY_MAX_BYTES},
};

pub(super) const VALUE_MAX_BYTES: u64 = 1 << 20;
/// Of all values in one answer.
pub(super) const ANSWER_MAX_BYTES: u64 = 8 << 20;
const KEYS_MAX: u64 = 1_000;
/// Values of one list.
pub(super) const KEEP_MAX: u32 = 10_000;
const TTL_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) fn key(key: &str) -> Result<&str, Invalid> {
    if (1..=KEY_MAX_BYTES).contains(&key.len()) { Ok(key) } else { Err(Invalid::Key) }
}

/// The beginning of a key; empty is any.
pub(super) fn prefix(prefix: &str) -> Result<&str, Invalid> {
    if prefix.len() <= KEY_MAX_BYTES { Ok(prefix) } else { Err(Invalid::Key) }
}

pub(super) fn id(id: &str) -> Result<&str, Invalid> {
    if (1..=ID_MAX_BYTES).contains(&id.len()) && !id.contains('\0') { Ok(id) } else { Err(Invalid::Id) }
}

pub(super) fn value(value: &[u8]) -> Result<&[u8], Error> {
    if value.len() as u64 <= VALUE_MAX_BYTES { Ok(value) } else { Err(Error::TooLarge(VALUE_MAX_BYTES)) }
}

pub(super) fn number_of_keys(count: usize) -> Result<(), Error> {
    if count as u64 <= KEYS_MAX { Ok(()) } else { Err(Error::TooLarge(KEYS_MAX)) }
}

pub(super) fn keep(keep: u32) -> Result<u32, Error> {
    match keep {
        0 => Err(Invalid::Keep.into()),
        1..=KEEP_MAX => Ok(keep),
        _ => Err(Error::TooLarge(KEEP_MAX.into())),
    }
}

pub(super) fn ttl(ttl: Duration) -> Result<Duration, Invalid> {
    if (Duration::from_millis(1)..=TTL_MAX).contains(&ttl) { Ok(ttl) } else { Err(Invalid::Ttl) }
}
