//! Answers in ways that a gateway must bear: slowly, in pieces, with a false length.

use sdk::Response;
use serde_json::json;

use crate::call::{Call, refusal, wait};

/// Sends the request's body back as it comes.
pub(crate) fn echo_body(call: Call) {
    let upload = call.upload();
    let body = call.head(Vec::new());
    loop {
        match upload.next(65_536) {
            Ok(Some(bytes)) if body.write(&bytes).is_ok() => {}
            Ok(None) => break,
            // The upload broke or nobody listens any more: an unfinished body says so.
            _ => return,
        }
    }
    drop(upload);
    body.finish();
}

/// Reads the request's body in pieces of at most `size` bytes with `ms` milliseconds between.
pub(crate) fn slow_body(call: Call) {
    let upload = call.upload();
    let mut total = 0;
    let broken = loop {
        match upload.next(call.number("size", 1024)) {
            Ok(Some(bytes)) => total += bytes.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
        wait(call.number("ms", 10));
    };
    drop(upload);
    call.json(&json!({ "read": total, "broken": broken }));
}

/// `chunks` pieces of `size` bytes with `ms` milliseconds between.
pub(crate) fn stream(call: Call) {
    let (chunks, pause) = (call.number("chunks", 3), call.number("ms", 0));
    let chunk = filler(call.number("size", 10));
    let body = call.head(Vec::new());
    for turn in 0..chunks {
        if turn > 0 && pause > 0 {
            wait(pause);
        }
        if body.write(&chunk).is_err() {
            return; // nobody listens any more
        }
    }
    body.finish();
}

/// `n` writes of nothing, then a word.
pub(crate) fn empty_writes(call: Call) {
    let writes = call.number("n", 1000);
    let body = call.head(Vec::new());
    let written = (0..writes).try_for_each(|_| body.write_nothing());
    if written.and_then(|()| body.write(b"done\n")).is_ok() {
        body.finish();
    }
}

/// A `Content-Length` of `says` and a body of `sends` bytes, with a status of `code`.
pub(crate) fn length(call: Call) {
    let (says, sends) = (call.number("says", 10), call.number("sends", 5));
    let headers = vec![("content-length".to_owned(), says.to_string().into_bytes())];
    let code = u16::try_from(call.number("code", 200)).expect("a status code");
    let body = call.head_of(code, headers);
    // Too much is refused at once, too little at the end: the test looks from outside.
    let _ = body.write(&filler(sends));
    body.finish();
}

/// A status of `code`, with a short body.
pub(crate) fn status(call: Call) {
    let code = u16::try_from(call.number("code", 200)).expect("a status code");
    let bodiless = matches!(code, 100..200 | 204 | 304);
    call.send(if bodiless { Response::empty(code) } else { Response::text(code, "as asked\n") });
}

/// A header of `name` with `value`, or how the host refused it.
pub(crate) fn header(call: Call) {
    let name = call.parameter("name").unwrap_or("x-probe").to_owned();
    let value = call.parameter("value").unwrap_or("probe").as_bytes().to_vec();
    if let Some(error) = refusal(&name, &value) {
        return call.text(400, &format!("refused: {error}\n"));
    }
    let body = call.head(vec![(name, value)]);
    if body.write(b"with the header\n").is_ok() {
        body.finish();
    }
}

fn filler(bytes: u64) -> Vec<u8> {
    vec![b'x'; usize::try_from(bytes).expect("a size")]
}
