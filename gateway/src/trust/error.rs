//! Why the word of another host is not believed.

use std::sync::Arc;

use crate::auth::TokenError;

/// Why a request that wants to be believed is not. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("the token of another host is refused: {0}")]
    Token(TokenError),
    #[error("nobody in `[trust]` signs tokens as `{issuer}`")]
    Nobody { issuer: String },
    #[error("`{peer}` may not speak to this service in the name of others; it is none of `trust.{peer}.services`")]
    NotFor { peer: Arc<str> },
}
