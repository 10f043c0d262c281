//! What may come of asking a key-value store.

use super::invalid::Invalid;

/// Why a store did not do what it was asked. Holds no address and no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Whether a write happened is unknown.
    #[error("the store does not answer")]
    Unavailable,
    /// The deadline of whoever asks passed. Whether a write happened is unknown.
    #[error("the store did not answer in time")]
    Timeout,
    /// Over this many bytes, keys or values.
    #[error("more than {0}")]
    TooLarge(u64),
    /// Nothing was written.
    #[error(
        "the store holds as much as it may, {0} bytes: delete something, or let its `memory` in the manifest be more"
    )]
    Full(u64),
    /// Nothing was written: it is an answer that there is no room for.
    #[error(
        "the memory of all components, `host.guest_memory`, has no room for this answer: ask for less, or again later"
    )]
    NoRoom,
    #[error(transparent)]
    Invalid(#[from] Invalid),
}
