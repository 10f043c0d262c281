//! What may come of a call instead of its answer.

/// Why a call has no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The other service, or the host on its behalf, answered with another status than 2xx.
    Refused { status: u16, sentence: String },
    /// `permissions.call` does not grant it.
    Denied,
    /// There is no whole answer, or none that can be read.
    Broken(String),
}
