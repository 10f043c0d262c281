//! What no store would do, whatever state it is in.

pub(super) const KEY_MAX_BYTES: usize = 1024;
pub(super) const ID_MAX_BYTES: usize = 255;

/// What no store would do, in words for a log of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("a key has 1 to {KEY_MAX_BYTES} bytes")]
    Key,
    #[error("an id has 1 to {ID_MAX_BYTES} bytes and no NUL among them")]
    Id,
    #[error("the time to live is 1 ms to a year")]
    Ttl,
    #[error("a list keeps at least 1 value")]
    Keep,
    #[error("this is no cursor of this store")]
    Cursor,
    #[error("the key holds something of another kind")]
    Kind,
    #[error("the value is no whole number of 64 bits")]
    Number,
    #[error("the sum does not fit in 64 bits")]
    Sum,
}
