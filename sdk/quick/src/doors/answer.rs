//! An answer on its way out: as JavaScript gives it, and as WASI HTTP sends it.

use rquickjs::{Ctx, Result, Value};

use crate::{
    bytes::bytes as copied,
    engine::{self, Broken},
    web,
    world::service::wasi::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

/// One write to a stream of the host holds this much.
const WRITE_MAX_BYTES: usize = 4096;
const FAILED: &str = "The service failed; quote the trace id when you report it";

/// Status, headers, whether to go on asking; the body is told apart.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) retire: bool,
}

/// `[status, names and values, body, retire]`, as the sdk's entry gives it.
pub(super) fn head(value: Value<'_>) -> Result<(Head, Value<'_>)> {
    let told = value.try_into_array().map_err(|_| rquickjs::Error::Unknown)?;
    let names: Vec<String> = told.get(1)?;
    let headers = names.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone().into_bytes())).collect();
    let head = Head { status: told.get(0)?, headers, retire: told.get(3)? };
    Ok((head, told.get(2)?))
}

/// A text or bytes; nothing of anything else.
pub(super) fn bytes(value: Value<'_>) -> Result<Option<Vec<u8>>> {
    if let Some(text) = value.as_string() {
        return Ok(Some(text.to_string()?.into_bytes()));
    }
    let array = value.as_object().and_then(|object| object.as_typed_array::<u8>());
    Ok(array.map(copied))
}

pub(super) fn send<'js>(ctx: &Ctx<'js>, head: Head, body: Value<'js>, out: ResponseOutparam) -> Result<()> {
    let Some(next) = body.as_function() else {
        let whole = bytes(body)?;
        pour(open(&head, whole.as_ref().map(Vec::len), out), &whole.unwrap_or_default());
        return Ok(());
    };
    let Some(outgoing) = open(&head, None, out) else { return Ok(()) };
    let Ok(stream) = outgoing.write() else { return Ok(()) };
    loop {
        let piece = engine::wait(ctx, next.call(())?)?;
        let Some(piece) = bytes(piece)? else { break };
        for part in piece.chunks(WRITE_MAX_BYTES) {
            // Who asked has gone: nobody wants the rest.
            if stream.blocking_write_and_flush(part).is_err() {
                return Ok(());
            }
        }
    }
    drop(stream);
    // What the host refuses of a body, it has told.
    let _ = OutgoingBody::finish(outgoing, None);
    Ok(())
}

/// Sends a head; a refused one becomes an empty 500.
pub(super) fn open(head: &Head, length: Option<usize>, out: ResponseOutparam) -> Option<OutgoingBody> {
    let fields = Fields::from_list(&head.headers).unwrap_or_else(|error| {
        web::print(true, &format!("the answer's headers are refused: {error}"));
        Fields::new()
    });
    if let Some(length) = length {
        // Fields that were just made take it.
        let _ = fields.append("content-length", length.to_string().as_bytes());
    }
    let response = OutgoingResponse::new(fields);
    if response.set_status_code(head.status).is_err() {
        web::print(true, &format!("{} is no status code", head.status));
        let _ = response.set_status_code(500);
    }
    let body = response.body().ok();
    ResponseOutparam::set(out, Ok(response));
    body
}

pub(super) fn pour(outgoing: Option<OutgoingBody>, bytes: &[u8]) {
    let Some(outgoing) = outgoing else { return };
    let Ok(stream) = outgoing.write() else { return };
    for piece in bytes.chunks(WRITE_MAX_BYTES) {
        if stream.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
    drop(stream);
    // What the host refuses of a body, it has told.
    let _ = OutgoingBody::finish(outgoing, None);
}

pub(super) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

impl Broken {
    /// What a client is told of it: nothing. The log has all.
    pub(super) fn answer(self, trace: &str) -> (Head, Vec<u8>) {
        web::print(true, &one_line(&self.0));
        let body = format!("{{\"success\":false,\"error\":\"{FAILED}\",\"traceId\":\"{trace}\"}}");
        let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
        (Head { status: 500, headers, retire: true }, body.into_bytes())
    }
}
