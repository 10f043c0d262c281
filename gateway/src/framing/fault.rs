//! What can be wrong with the bytes of a request, and the status each fault is answered with.
//!
//! These never become requests, so `error` never sees them: the words here go to the client
//! through `Handler::refuse`, and hold nothing the client sent.

use http::StatusCode;

/// Why the reader refused. `Display` is a sentence for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the request line must be a method, a target and a version with one space between")]
    RequestLine,
    #[error("the method is no token of at most 32 bytes")]
    Method,
    #[error("the method is not supported here")]
    MethodRefused,
    #[error("the request target is not valid")]
    Target,
    #[error("the request target is over 8 KiB")]
    TargetTooLong,
    #[error("the version must be HTTP/1.0 or HTTP/1.1")]
    Version,
    #[error("a line ends without CRLF")]
    BareLineFeed,
    #[error("a carriage return stands inside a line")]
    BareCarriageReturn,
    #[error("a field continues over a line break")]
    Folded,
    #[error("a field name is not valid")]
    FieldName,
    #[error("a field value has a control byte")]
    FieldValue,
    #[error("the request has over 100 fields")]
    TooManyFields,
    #[error("the request head is over 64 KiB")]
    HeadTooLarge,
    #[error("the request must have exactly one valid Host, equal to the authority of its target")]
    Host,
    #[error("the Content-Length is not one plain number")]
    ContentLength,
    #[error("the only Transfer-Encoding understood is `chunked`, once, in HTTP/1.1")]
    TransferEncoding,
    #[error("the request has both Content-Length and Transfer-Encoding")]
    TwoFramings,
    #[error("a chunk is not valid")]
    Chunk,
    #[error("a trailer field is not allowed")]
    Trailer,
    #[error("the request head did not arrive in time")]
    HeadTooSlow,
}

impl Fault {
    pub fn status(self) -> StatusCode {
        match self {
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooManyFields | Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTooSlow => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
