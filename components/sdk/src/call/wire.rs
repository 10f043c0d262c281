//! A call over `wasi:http`: what is sent, and the whole answer as bytes. Nothing is decided here.

use super::{Call, Failure};
use crate::{
    Method,
    bindings::wasi::{
        http::{
            outgoing_handler,
            types::{self, ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, OutgoingBody, OutgoingRequest},
        },
        io::streams::StreamError,
    },
    export::write_all,
};

/// One read asks for this many bytes at most.
const CHUNK_BYTES: u64 = 64 * 1024;
/// The other service is one of ours; this keeps a faulty one from taking all of our memory.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The status and the whole body.
pub(super) fn exchange(call: &Call) -> Result<(u16, Vec<u8>), Failure> {
    let pending = send(call).map_err(failure)?;
    pending.subscribe().block();
    let response = pending.get().expect("it is ready").expect("taken once").map_err(failure)?;
    Ok((response.status(), body(&response)?))
}

fn send(call: &Call) -> Result<FutureIncomingResponse, ErrorCode> {
    let headers: Vec<_> =
        call.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())).collect();
    let headers = Fields::from_list(&headers).map_err(|_refused| ErrorCode::HttpProtocolError)?;
    let request = OutgoingRequest::new(headers);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_method(&method(call.method)).map_err(invalid)?;
    request.set_scheme(Some(&types::Scheme::Http)).map_err(invalid)?;
    request.set_authority(Some(&format!("{}.internal", call.service))).map_err(invalid)?;
    request.set_path_with_query(Some(&call.target)).map_err(invalid)?;
    let Some(bytes) = &call.body else {
        return outgoing_handler::handle(request, None);
    };
    let body = request.body().expect("taken once");
    let pending = outgoing_handler::handle(request, None)?;
    let stream = body.write().expect("taken once");
    // An answer may come before the request is read to its end; it says what there is to say.
    let written = write_all(&stream, bytes.as_bytes());
    drop(stream);
    if written.is_ok() {
        OutgoingBody::finish(body, None)?;
    }
    Ok(pending)
}

fn method(method: Method) -> types::Method {
    match method {
        Method::Get => types::Method::Get,
        Method::Head => types::Method::Head,
        Method::Post => types::Method::Post,
        Method::Put => types::Method::Put,
        Method::Patch => types::Method::Patch,
        Method::Delete => types::Method::Delete,
        Method::Other => types::Method::Options,
    }
}

fn body(response: &IncomingResponse) -> Result<Vec<u8>, Failure> {
    let body = response.consume().expect("taken once");
    let stream = body.stream().expect("taken once");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK_BYTES) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(_)) => {
                return Err(Failure::Broken("another service's answer ended early".to_owned()));
            }
        }
        if bytes.len() > BODY_BYTES_MAX {
            return Err(Failure::Broken(format!("another service's answer is over {BODY_BYTES_MAX} bytes")));
        }
    }
}

fn failure(code: ErrorCode) -> Failure {
    match code {
        ErrorCode::HttpRequestDenied => Failure::Denied,
        other => Failure::Broken(format!("another service could not be called: {other:?}")),
    }
}
