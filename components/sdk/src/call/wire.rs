//! A call by the quick client: what is sent, and the whole answer as bytes. Nothing is decided here.

use super::{Call, Failure};
use crate::{
    Method,
    bindings::archipel::http::client::{Error, Options, Request, Scheme},
    host::client,
};

/// The other service is one of ours; this keeps a faulty one from taking all of our memory.
const BODY_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// The status and the whole body.
pub(super) fn exchange(call: &Call) -> Result<(u16, Vec<u8>), Failure> {
    let options = Options { timeout_ms: None, response_bytes_max: Some(BODY_BYTES_MAX) };
    client::send(&request(call), options).map(|answer| (answer.status, answer.body)).map_err(failure)
}

fn request(call: &Call) -> Request {
    Request {
        method: method(call.method).to_owned(),
        scheme: Scheme::Http,
        authority: format!("{}.internal", call.service),
        target: call.target.clone(),
        headers: call.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())).collect(),
        body: call.body.clone().unwrap_or_default().into_bytes(),
    }
}

fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        Method::Other => "OPTIONS",
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Denied(_) => Failure::Denied,
        Error::TooLarge => Failure::Broken(format!("another service's answer is over {BODY_BYTES_MAX} bytes")),
        other => Failure::Broken(format!("another service could not be called: {other:?}")),
    }
}
