//! What a service waits for: answers from the outside, and time. Requests of one handler are under way together.

use std::{cell::RefCell, collections::BTreeMap};

use rquickjs::{Ctx, Exception, Function, Object, Result, TypedArray};

use crate::{
    bytes::bytes,
    world::service::wasi::{
        clocks::monotonic_clock,
        http::{
            outgoing_handler,
            types::{
                ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody,
                OutgoingRequest, Scheme,
            },
        },
        io::{poll, streams::StreamError},
    },
};

/// An answer that is longer is none: all of it is in the instance's memory.
const ANSWER_MAX_BYTES: usize = 16 << 20;
/// One read, and one write of a stream.
const READ_BYTES: u64 = 64 << 10;
const WRITE_MAX_BYTES: usize = 4096;

thread_local! {
    static UNDER_WAY: RefCell<BTreeMap<u32, FutureIncomingResponse>> = const { RefCell::new(BTreeMap::new()) };
}

/// What comes next.
pub enum Next {
    /// A timer is due.
    Ring,
    /// The request of that number was answered, or has failed.
    Came(u32, std::result::Result<Answer, String>),
    /// Nobody will ever come.
    Nothing,
}

/// An answer, whole.
pub struct Answer {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
}

pub fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("send", Function::new(ctx.clone(), send)?)?;
    native.set("forget", Function::new(ctx.clone(), forget)?)
}

/// Waits for the first of all: `millis` until a timer is due, if that is not below zero, or any answer.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of milliseconds, cut where it is too large"
)]
pub fn next(millis: f64) -> Next {
    if millis == 0.0 {
        return Next::Ring;
    }
    let numbers: Vec<u32> = UNDER_WAY.with(|requests| requests.borrow().keys().copied().collect());
    if numbers.is_empty() && millis < 0.0 {
        return Next::Nothing;
    }
    let mut waiting: Vec<_> =
        UNDER_WAY.with(|requests| requests.borrow().values().map(FutureIncomingResponse::subscribe).collect());
    if millis > 0.0 {
        waiting.push(monotonic_clock::subscribe_duration((millis * 1e6) as u64));
    }
    let ready = poll::poll(&waiting.iter().collect::<Vec<_>>());
    drop(waiting);
    let first = ready.first().and_then(|at| numbers.get(usize::try_from(*at).unwrap_or(usize::MAX)));
    let Some(number) = first else { return Next::Ring };
    let came = UNDER_WAY.with(|requests| requests.borrow_mut().remove(number));
    match came.and_then(|came| came.get()) {
        Some(Ok(Ok(response))) => Next::Came(*number, whole(&response)),
        Some(Ok(Err(error))) => Next::Came(*number, Err(words(&error))),
        _ => Next::Came(*number, Err("the answer was taken twice".to_owned())),
    }
}

/// Tells JavaScript.
pub fn hand_over<'js>(
    ctx: &Ctx<'js>,
    settle: &Function<'js>,
    number: u32,
    came: std::result::Result<Answer, String>,
) -> Result<()> {
    match came {
        Ok(answer) => settle.call((number, answer.status, answer.headers, TypedArray::new(ctx.clone(), answer.body)?)),
        Err(why) => settle.call((number, 0, why)),
    }
}

/// Sends a request; what comes of it is told later.
fn send<'js>(
    ctx: Ctx<'js>,
    number: u32,
    head: Vec<String>,
    headers: Vec<String>,
    body: Option<TypedArray<'js, u8>>,
) -> Result<()> {
    let [method, scheme, authority, target] = &*head else {
        return Err(Exception::throw_type(&ctx, "method, scheme, host and path are wanted"));
    };
    let body = body.as_ref().map(bytes);
    match begun(method, scheme, authority, target, &headers, body.as_deref()) {
        Ok(future) => UNDER_WAY.with(|requests| requests.borrow_mut().insert(number, future)),
        Err(why) => return Err(Exception::throw_type(&ctx, &why)),
    };
    Ok(())
}

/// Nobody waits for it any more.
fn forget(number: u32) {
    UNDER_WAY.with(|requests| requests.borrow_mut().remove(&number));
}

fn begun(
    method: &str,
    scheme: &str,
    authority: &str,
    target: &str,
    headers: &[String],
    body: Option<&[u8]>,
) -> std::result::Result<FutureIncomingResponse, String> {
    let fields = Fields::new();
    for pair in headers.chunks_exact(2) {
        fields.append(&pair[0], pair[1].as_bytes()).map_err(|error| format!("header `{}`: {error}", pair[0]))?;
    }
    let request = OutgoingRequest::new(fields);
    let unfit = |what: &str| format!("the {what} is not valid");
    request.set_method(&named(method)).map_err(|()| unfit("method"))?;
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(|()| unfit("scheme"))?;
    request.set_authority(Some(authority)).map_err(|()| unfit("host"))?;
    request.set_path_with_query(Some(target)).map_err(|()| unfit("path"))?;
    let outgoing = request.body().map_err(|()| unfit("body"))?;
    let future = outgoing_handler::handle(request, None).map_err(|error| words(&error))?;
    if let Some(bytes) = body {
        let stream = outgoing.write().map_err(|()| unfit("body"))?;
        for piece in bytes.chunks(WRITE_MAX_BYTES) {
            // The other side may have answered already, and wants no more.
            if stream.blocking_write_and_flush(piece).is_err() {
                break;
            }
        }
    }
    OutgoingBody::finish(outgoing, None).map_err(|error| words(&error))?;
    Ok(future)
}

fn named(method: &str) -> Method {
    match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn whole(response: &IncomingResponse) -> std::result::Result<Answer, String> {
    let status = response.status();
    let headers = response.headers().entries().into_iter();
    let headers = headers.flat_map(|(name, value)| [name, String::from_utf8_lossy(&value).into_owned()]).collect();
    let body = response.consume().map_err(|()| "the answer was read twice")?;
    let body = gathered(&body)?;
    Ok(Answer { status, headers, body })
}

/// All of a body.
pub fn gathered(body: &IncomingBody) -> std::result::Result<Vec<u8>, String> {
    let stream = body.stream().map_err(|()| "the body was read twice")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(format!("the body broke off: {}", error.to_debug_string()));
            }
        }
        if bytes.len() > ANSWER_MAX_BYTES {
            return Err(format!("the body is over {ANSWER_MAX_BYTES} bytes"));
        }
    }
}

/// As the standard calls it.
fn words(error: &ErrorCode) -> String {
    match error {
        ErrorCode::HttpRequestDenied => {
            "HTTP-request-denied: the host's log has the line that would allow it".to_owned()
        }
        ErrorCode::InternalError(Some(text)) => text.clone(),
        other => format!("{other:?}").trim_start_matches("ErrorCode::").to_owned(),
    }
}
