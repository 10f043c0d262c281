//! Takes much: memory, handles, time, log.

use std::io::{self, Write};

use sdk::bindings::wasi::{http::types::Fields, random::random::get_random_bytes};
use serde_json::json;

use crate::call::{Call, wait};

const MEBIBYTE: usize = 1 << 20;

/// Allocates and touches `mib` MiB, holds it for `ms`, and tells how many it got.
pub(crate) fn grow(call: Call) {
    let asked = call.number("mib", 1);
    let mut got = Vec::new();
    for _ in 0..asked {
        let mut block = Vec::new();
        if got.try_reserve(1).is_err() || block.try_reserve_exact(MEBIBYTE).is_err() {
            break;
        }
        block.resize(MEBIBYTE, 1_u8);
        got.push(block);
    }
    wait(call.number("ms", 0));
    let got = std::hint::black_box(got).len();
    call.json(&json!({ "asked": asked, "got": got }));
}

/// Opens `n` handles and forgets them.
pub(crate) fn handles(call: Call) {
    let wanted = call.number("n", 1);
    (0..wanted).for_each(|_| std::mem::forget(Fields::new()));
    call.json(&json!({ "leaked": wanted }));
}

/// Asks for `bytes` random bytes in one call.
pub(crate) fn random(call: Call) {
    let bytes = get_random_bytes(call.number("bytes", 16));
    call.json(&json!({ "got": bytes.len() }));
}

pub(crate) fn sleep(call: Call) {
    wait(call.number("ms", 10));
    call.text(200, "slept\n");
}

pub(crate) fn stdout(call: Call) {
    let written = print(&call, io::stdout());
    call.text(200, &written);
}

pub(crate) fn stderr(call: Call) {
    let written = print(&call, io::stderr());
    call.text(200, &written);
}

/// Prints `lines` lines of `bytes` bytes each, the newline included.
fn print(call: &Call, mut stream: impl Write) -> String {
    let bytes = usize::try_from(call.number("bytes", 10)).expect("a size");
    let line = format!("{}\n", "x".repeat(bytes.saturating_sub(1)));
    let lines = call.number("lines", 1);
    match (0..lines).try_for_each(|_| stream.write_all(line.as_bytes())) {
        Ok(()) => "printed\n".to_owned(),
        Err(error) => format!("not printed: {error}\n"),
    }
}
