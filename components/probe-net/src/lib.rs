//! The test guest that dials out: over WASI HTTP, to services of its host and to the outside.
//!
//! It tells what it got or how it was refused; whether it may is the host's to say.

mod dial;
mod proxy;

use sdk::{
    Query, Response,
    bindings::{
        self,
        exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam},
    },
};

struct ProbeNet;

bindings::export!(ProbeNet with_types_in sdk::bindings);

/// Every parameter that some behaviour takes.
const PARAMETERS: [&str; 10] =
    ["url", "method", "headers", "body", "connect", "first", "between", "times", "then", "ms"];

impl Guest for ProbeNet {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query::parse(query, &PARAMETERS).expect("a test knows the parameters");
        let response = match path {
            "/" => Response::text(200, "probe-net\n"),
            // The plain way: 200 with status and body, or 403 with the error.
            "/fetch" => dial::fetch(&query),
            // Everything about each of `times` answers, or its error.
            "/call" => dial::tell(&query),
            // Sends a request's head and part of its body, then traps.
            "/die" => dial::die(&query),
            // Passes the request on and its answer back, piece by piece.
            "/proxy" => return proxy::pass(&request, query.get("url").expect("`url`"), out),
            // Passes the request on to itself.
            "/circle" => {
                let own = std::env::args().next().expect("its own name");
                return proxy::pass(&request, &format!("http://{own}.internal/circle"), out);
            }
            _ => Response::text(404, "no such behaviour\n"),
        };
        sdk::send(response, out);
    }
}
