//! Who answered a request.

use std::sync::Arc;

/// Which service answered; the implementor puts it into the response's extensions and the
/// gateway turns it into `X-Service` and `X-Service-Version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredBy {
    pub service: Arc<str>,
    /// None of a service whose builds are not ours.
    pub version: Option<http::HeaderValue>,
}
