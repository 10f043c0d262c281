//! Which path is which behaviour.

use crate::{answer, call::Call, crash, take, tell};

pub(crate) fn behave(call: Call) {
    match call.path() {
        "/" => call.text(200, "probe\n"),

        "/trap" => crash::trap(),
        "/panic" => crash::panic(),
        "/exit" => crash::exit(&call),
        "/recurse" => crash::recurse(call),
        "/trap-after-head" => crash::trap_after_head(call),
        "/spin" => crash::spin(call),
        "/spin-after-head" => crash::spin_after_head(call),
        "/no-answer" => drop(call),

        "/grow" => take::grow(call),
        "/handles" => take::handles(call),
        "/random" => take::random(call),
        "/sleep" => take::sleep(call),
        "/stdout" => take::stdout(call),
        "/stderr" => take::stderr(call),

        "/env" => tell::env(call),
        "/args" => tell::args(call),
        "/files" => tell::files(call),
        "/counter" => tell::counter(call),
        "/echo" => tell::echo(call),
        "/data" => tell::data(call),

        "/echo-body" => answer::echo_body(call),
        "/slow-body" => answer::slow_body(call),
        "/discard-body" => call.text(200, "not read\n"),
        "/stream" => answer::stream(call),
        "/empty-writes" => answer::empty_writes(call),
        "/length" => answer::length(call),
        "/status" => answer::status(call),
        "/header" => answer::header(call),

        _ => call.text(404, "no such behaviour\n"),
    }
}
