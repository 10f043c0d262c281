//! What a handler may fail with, and what the client is told: the one table from failures to
//! statuses. It never puts SQL, a stack or a host's word into an answer. What the failures of a capability
//! mean is said beside it: `postgres`, `keyvalue`, `messaging`.

use std::borrow::Cow;

/// Why a request has no success. A client sees the status and [`Error::sentence`]; what else
/// there is to know goes to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// 400, with the sentence to send.
    BadRequest(String),
    /// 401, with the sentence to send.
    Unauthorized(&'static str),
    /// 403.
    Forbidden,
    /// 404, with the sentence to send: `User not found`.
    NotFound(&'static str),
    /// 405, with the value of `Allow`.
    MethodNotAllowed { allow: String },
    /// 409, with the sentence to send.
    Conflict(&'static str),
    /// What another service refused, with its status and its sentence, passed on.
    Refused { status: u16, sentence: String },
    /// 413.
    TooLarge,
    /// 415.
    UnsupportedMediaType,
    /// 429, with the sentence to send and the seconds to wait.
    TooManyRequests { sentence: &'static str, retry_after: u32 },
    /// 500; the text is for the log.
    Internal(String),
    /// 503; the text is for the log.
    Unavailable(String),
    /// 504.
    Timeout,
}

impl Error {
    pub fn bad_request(sentence: impl Into<String>) -> Self {
        Self::BadRequest(sentence.into())
    }

    /// For a failure that has an answer of its own to go on with: what the operator should know
    /// goes to the log.
    pub fn log(&self) {
        log(&format!("{}: {}", self.status(), self.reason().unwrap_or(self.sentence())));
    }

    pub fn internal(reason: impl Into<String>) -> Self {
        Self::Internal(reason.into())
    }

    pub const fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Unauthorized(_) => 401,
            Self::Forbidden => 403,
            Self::NotFound(_) => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::Conflict(_) => 409,
            Self::Refused { status, .. } => *status,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::TooManyRequests { .. } => 429,
            Self::Internal(_) => 500,
            Self::Unavailable(_) => 503,
            Self::Timeout => 504,
        }
    }

    /// What the client is told.
    pub fn sentence(&self) -> &str {
        match self {
            Self::BadRequest(sentence) | Self::Refused { sentence, .. } => sentence,
            Self::Unauthorized(sentence) | Self::NotFound(sentence) | Self::Conflict(sentence) => sentence,
            Self::TooManyRequests { sentence, .. } => sentence,
            Self::Forbidden => "Your token does not allow this",
            Self::MethodNotAllowed { .. } => "This path does not take this method; see `Allow`",
            Self::TooLarge => "The request body is too large",
            Self::UnsupportedMediaType => "Send the body as JSON, with `Content-Type: application/json`",
            Self::Internal(_) => "The service failed; quote the trace id when you report it",
            Self::Unavailable(_) => "The service is not available now; try again later",
            Self::Timeout => "The service did not finish in time; try again later",
        }
    }

    /// The sentence of a failure that has one of its own, for a document.
    pub(crate) const fn own_sentence(&'static self) -> Option<&'static str> {
        match self {
            Self::Unauthorized(sentence) | Self::NotFound(sentence) | Self::Conflict(sentence) => Some(sentence),
            Self::TooManyRequests { sentence, .. } => Some(sentence),
            _ => None,
        }
    }

    /// The header that goes with the status, if one does.
    pub(crate) fn header(&self) -> Option<(&'static str, Cow<'_, str>)> {
        match self {
            Self::MethodNotAllowed { allow } => Some(("allow", allow.into())),
            Self::Unauthorized(_) => Some(("www-authenticate", "Bearer".into())),
            Self::TooManyRequests { retry_after, .. } => Some(("retry-after", retry_after.to_string().into())),
            Self::Unavailable(_) => Some(("retry-after", "1".into())),
            _ => None,
        }
    }

    /// What the operator should know, where the sentence does not say it.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Internal(reason) | Self::Unavailable(reason) => Some(reason),
            Self::Timeout => Some("a database, a store or another service did not answer in time"),
            _ => None,
        }
    }
}

/// Writes one line for the operator: what a guest prints to stderr is in the host's log, with
/// the service and the trace id.
#[allow(clippy::print_stderr, reason = "stderr is a guest's log")]
pub(crate) fn log(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bindings::archipel::postgres::types::DbError, keyvalue, postgres};

    fn db(sqlstate: &str) -> postgres::Error {
        postgres::Error::Db(DbError {
            sqlstate: sqlstate.to_owned(),
            severity: "ERROR".to_owned(),
            message: "relation \"users\" does not exist".to_owned(),
            detail: Some("Key (email)=(ada@example.com) already exists.".to_owned()),
            hint: None,
            schema: None,
            table: None,
            column: None,
            constraint: Some("users_email_key".to_owned()),
            position: None,
        })
    }

    #[test]
    fn a_database_failure_has_the_status_that_tells_a_client_what_to_do() {
        let table = [
            (postgres::Error::Overloaded, 503),
            (postgres::Error::Unavailable("refused".to_owned()), 503),
            (postgres::Error::Timeout, 504),
            (db("57014"), 504),
            (db("57P01"), 503),
            (db("40001"), 503),
            (db("42P01"), 500),
            (postgres::Error::AccessDenied("users".to_owned()), 500),
            (postgres::Error::Closed, 500),
            (postgres::Error::TooLarge(10_000), 500),
        ];
        for (error, status) in table {
            let text = format!("{error:?}");
            assert_eq!(Error::from(error).status(), status, "{text}");
        }
    }

    #[test]
    fn a_store_that_is_away_is_503_and_a_wrong_use_of_it_500() {
        let table = [
            (keyvalue::Error::Unavailable("notifications".to_owned()), 503),
            (keyvalue::Error::Timeout, 504),
            (keyvalue::Error::AccessDenied("notifications".to_owned()), 500),
            (keyvalue::Error::TooLarge(1), 500),
            (keyvalue::Error::Other("an empty key".to_owned()), 500),
        ];
        for (error, status) in table {
            assert_eq!(Error::from(error).status(), status);
        }
    }

    #[test]
    fn a_client_never_reads_the_database_s_words_and_the_log_never_the_row_s() {
        let error = Error::from(db("42P01"));
        assert!(!error.sentence().contains("relation"));
        let reason = error.reason().unwrap();
        assert!(reason.contains("42P01") && reason.contains("relation"));
        assert!(!reason.contains("ada@example.com"));
    }

    #[test]
    fn a_unique_violation_is_known_by_its_constraint() {
        assert!(db("23505").is_unique("users_email_key"));
        assert!(!db("23505").is_unique("users_pkey"));
        assert!(!db("23503").is_unique("users_email_key"));
        assert!(!postgres::Error::Overloaded.is_unique("users_email_key"));
    }

    #[test]
    fn a_status_has_the_header_that_goes_with_it() {
        let later = Error::TooManyRequests { sentence: "Later", retry_after: 900 };
        for (error, status, header) in [
            (Error::Unavailable(String::new()), 503, ("retry-after", "1")),
            (later, 429, ("retry-after", "900")),
            (Error::Unauthorized("Who?"), 401, ("www-authenticate", "Bearer")),
        ] {
            assert_eq!(error.status(), status);
            assert_eq!(error.header(), Some((header.0, header.1.into())));
        }
    }
}
