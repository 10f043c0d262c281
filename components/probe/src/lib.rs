//! The test guest: one path for each behaviour of a guest, good or bad.
//!
//! It imports nothing that needs a grant. What dials out is `probe-net`, what opens sockets
//! `probe-sockets`, what speaks to PostgreSQL `probe-pg`: a component runs only if all of its
//! imports are granted.

mod answer;
mod behaviour;
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
        behaviour::behave(Call::new(request, out));
    }
}
