//! Ends badly: traps, panics, endless loops, before the head and after it.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use crate::call::{Body, Call};

pub(crate) fn trap() -> ! {
    std::process::abort()
}

pub(crate) fn panic() -> ! {
    panic!("probe panics as it was asked to")
}

/// `code`: 0 by default.
pub(crate) fn exit(call: &Call) -> ! {
    std::process::exit(i32::try_from(call.number("code", 0)).expect("an exit code"))
}

pub(crate) fn recurse(call: Call) {
    let depth = deeper(0);
    call.text(200, &depth.to_string());
}

fn deeper(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { depth } else { black_box(deeper(depth + 1)) + 1 }
}

pub(crate) fn trap_after_head(call: Call) {
    let _begun = begin(call);
    trap()
}

/// For `ms` milliseconds, or for ever.
pub(crate) fn spin(call: Call) {
    let Some(milliseconds) = call.parameter("ms") else { for_ever() };
    let wanted = Duration::from_millis(milliseconds.parse().expect("a number"));
    let start = Instant::now();
    while start.elapsed() < wanted {
        for turn in 0..100_000_u64 {
            black_box(turn);
        }
    }
    call.text(200, "spun\n");
}

pub(crate) fn spin_after_head(call: Call) {
    let _begun = begin(call);
    for_ever()
}

fn begin(call: Call) -> Body {
    let body = call.head(Vec::new());
    body.write(b"the beginning of an answer").expect("somebody listens");
    body
}

fn for_ever() -> ! {
    loop {
        black_box(());
    }
}
