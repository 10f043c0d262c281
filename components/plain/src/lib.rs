//! A standard component, made without the sdk: any `wasi:http/incoming-handler@0.2` runs.
//!
//! It answers with the path that it was asked for.

use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

struct Plain;

wasip2::http::proxy::export!(Plain);

impl Guest for Plain {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let text = format!("plain: {path}\n");

        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("taken once");
        ResponseOutparam::set(out, Ok(response));

        let stream = body.write().expect("taken once");
        // A path is at most 8 KiB and one such write 4 KiB.
        let sent = text.as_bytes().chunks(4096).try_for_each(|part| stream.blocking_write_and_flush(part));
        drop(stream);
        if sent.is_ok() {
            // An error here is the downstream's going away; there is nobody left to tell.
            let _ = OutgoingBody::finish(body, None);
        }
    }
}
