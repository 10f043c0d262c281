//! The test guest: one path for each behaviour of a guest, good or bad.
//!
//! It imports nothing that needs a grant. What dials out is `probe-net`, what opens sockets
//! `probe-sockets`, what speaks to PostgreSQL `probe-pg`: a component runs only if all of its
//! imports are granted.

mod answer;
mod call;
mod crash;
mod take;
mod tell;

use sdk::bindings::{
    self,
    exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam},
};

use crate::call::Call;

struct Probe;

bindings::export!(Probe with_types_in sdk::bindings);

impl Guest for Probe {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let call = Call::new(request, out);
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
}
