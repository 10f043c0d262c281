//! A call before it is made.

use crate::Method;

/// A call to be made; [`Call::answer`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "`answer` makes the call"]
pub struct Call {
    pub(super) method: Method,
    pub(super) service: &'static str,
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<String>,
}
