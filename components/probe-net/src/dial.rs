//! Sends requests as its parameters say and tells what came of each.

use sdk::{
    Query, Response,
    bindings::wasi::http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
            RequestOptions, Scheme,
        },
    },
    bindings::wasi::{clocks::monotonic_clock, io::streams::StreamError},
};
use serde_json::{Value, json};

pub(crate) fn fetch(query: &Query) -> Response {
    match sent(query).and_then(answered) {
        Ok(response) => Response::text(200, &format!("{} {}", response.status(), body(&response).0)),
        Err(refused) => Response::text(403, &format!("{refused:?}\n")),
    }
}

pub(crate) fn tell(query: &Query) -> Response {
    let times = number(query, "times").unwrap_or(1);
    let told: Vec<Value> = (0..times).map(|_| told(query)).collect();
    let status = number(query, "then").unwrap_or(200);
    Response::json(u16::try_from(status).expect("a status"), json!(told).to_string())
}

fn told(query: &Query) -> Value {
    let began = monotonic_clock::now();
    let mut told = match sent(query).and_then(answered) {
        Err(refused) => json!({ "error": format!("{refused:?}") }),
        Ok(response) => {
            let headers: Vec<Value> = (response.headers().entries().iter())
                .map(|(name, value)| json!([name, String::from_utf8_lossy(value)]))
                .collect();
            let status = response.status();
            let (body, whole) = body(&response);
            json!({ "status": status, "headers": headers, "body": body, "whole": whole })
        }
    };
    told["ms"] = ((monotonic_clock::now() - began) / 1_000_000).into();
    told
}

/// Half a request, then nothing more.
pub(crate) fn die(query: &Query) -> Response {
    let request = request(query).expect("a request");
    let body = request.body().expect("taken once");
    let stream = body.write().expect("taken once");
    let _pending = outgoing_handler::handle(request, None).expect("it may");
    stream.blocking_write_and_flush(b"half of a body").expect("taken");
    wait(number(query, "ms").unwrap_or(0));
    std::process::abort()
}

pub(crate) fn wait(milliseconds: u64) {
    monotonic_clock::subscribe_duration(milliseconds * 1_000_000).block();
}

fn number(query: &Query, name: &str) -> Option<u64> {
    query.get(name).map(|text| text.parse().expect("a number"))
}

fn request(query: &Query) -> Result<OutgoingRequest, ErrorCode> {
    let headers = Fields::new();
    for line in query.get("headers").unwrap_or_default().lines() {
        let (name, value) = line.split_once(':').expect("a field");
        headers.append(name, value.as_bytes()).map_err(|_| ErrorCode::HttpRequestHeaderSize(None))?;
    }
    to(query.get("url").unwrap_or_default(), &method(query.get("method").unwrap_or("GET")), headers)
}

pub(crate) fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        other => Method::Other(other.to_owned()),
    }
}

/// A request to `url` without a body yet.
pub(crate) fn to(url: &str, method: &Method, headers: Fields) -> Result<OutgoingRequest, ErrorCode> {
    let (scheme, rest) = url.split_once("://").ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    let request = OutgoingRequest::new(headers);
    request.set_method(method).map_err(invalid)?;
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(invalid)?;
    Ok(request)
}

fn sent(query: &Query) -> Result<FutureIncomingResponse, ErrorCode> {
    let request = request(query)?;
    let options = RequestOptions::new();
    let nanos = |name| number(query, name).map(|milliseconds| milliseconds * 1_000_000);
    options.set_connect_timeout(nanos("connect")).expect("supported");
    options.set_first_byte_timeout(nanos("first")).expect("supported");
    options.set_between_bytes_timeout(nanos("between")).expect("supported");
    let Some(text) = query.get("body") else {
        return outgoing_handler::handle(request, Some(options));
    };
    let body = request.body().expect("taken once");
    let pending = outgoing_handler::handle(request, Some(options))?;
    let stream = body.write().expect("taken once");
    // An answer may come before the request is read to its end.
    for part in text.as_bytes().chunks(4096) {
        if stream.blocking_write_and_flush(part).is_err() {
            break;
        }
    }
    drop(stream);
    OutgoingBody::finish(body, None)?;
    Ok(pending)
}

pub(crate) fn answered(pending: FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    pending.subscribe().block();
    pending.get().expect("it is ready").expect("taken once")
}

/// As much of the body as arrives, and whether that is all of it.
fn body(response: &IncomingResponse) -> (String, bool) {
    let body = response.consume().expect("taken once");
    let stream = body.stream().expect("taken once");
    let mut bytes = Vec::new();
    let whole = loop {
        match stream.blocking_read(65_536) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => break true,
            Err(StreamError::LastOperationFailed(_)) => break false,
        }
    };
    (String::from_utf8_lossy(&bytes).into_owned(), whole)
}
