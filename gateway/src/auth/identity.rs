//! Whom a request speaks for, and who finds that out.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use http::HeaderValue;

/// Who may use a route.
#[derive(Clone)]
pub enum Access {
    /// Anybody: no token is looked at.
    Public,
    /// Whoever has a token that this verifier accepts.
    Token(Arc<dyn Verify>),
}

/// The future a [`Verify`] answers with.
pub type Verified<'a> = Pin<Box<dyn Future<Output = Result<Identity, TokenError>> + Send + 'a>>;

/// Tells a true token from any other text.
pub trait Verify: Send + Sync + 'static {
    /// Cancel safe. Ready at once unless keys must be fetched first.
    fn verify<'a>(&'a self, token: &'a str) -> Verified<'a>;
}

/// Whom a verified token speaks for, in the form in which services are told.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// `X-User-Id`: visible ASCII, not empty.
    pub subject: HeaderValue,
    /// `X-User-Roles`: visible ASCII, comma-separated; none when there are no roles.
    pub roles: Option<HeaderValue>,
}

/// Why a request has no identity. The text is for the log and never holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("there is no `Authorization` header")]
    Missing,

    #[error("`Authorization` is not of the scheme `Bearer`")]
    OtherScheme,

    #[error("the token is refused: {0}")]
    Refused(&'static str),

    #[error("there are no keys to verify tokens with: {0}")]
    NoKeys(String),
}

/// As long as a subject or a role may be.
const NAME_BYTES_MAX: usize = 255;
/// As many roles as one token may give.
const ROLES_MAX: usize = 64;

impl Identity {
    /// # Errors
    /// [`TokenError::Refused`] when the subject or a role cannot stand in a header unchanged.
    pub fn new<'a>(subject: &str, roles: impl IntoIterator<Item = &'a str>) -> Result<Self, TokenError> {
        let name =
            |text: &str| (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !name(subject) {
            return Err(TokenError::Refused("its subject cannot stand in a header"));
        }
        let mut list = String::new();
        for (index, role) in roles.into_iter().enumerate() {
            if index == ROLES_MAX || !name(role) || role.contains(',') {
                return Err(TokenError::Refused("its roles cannot stand in a header"));
            }
            if index > 0 {
                list.push(',');
            }
            list.push_str(role);
        }
        let value = |text: &str| HeaderValue::from_str(text).expect("checked to be visible ASCII");
        Ok(Self { subject: value(subject), roles: (!list.is_empty()).then(|| value(&list)) })
    }

    /// The subject as text.
    pub fn subject(&self) -> &str {
        self.subject.to_str().expect("checked to be visible ASCII")
    }
}

/// The roles only: who someone is does not belong in a debug print.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("roles", &self.roles).finish_non_exhaustive()
    }
}
