//! Carries a request in from WASI HTTP and a response out; the only file that speaks it. What exports a service, by
//! this and by the quick door (`quick.rs`), is here, too.
//!
//! It makes as few host calls as the request needs: a head that nobody reads is never fetched.

use crate::{
    Method, Request, Response, Source,
    bindings::wasi::{
        http::types::{self, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
        io::streams::{OutputStream, StreamError},
    },
    error::log,
};

/// One read asks for this many bytes at most.
const CHUNK_BYTES: u64 = 64 * 1024;

/// Exports `answer`, a `fn(Request) -> Response`, as the component's HTTP handlers, and embeds
/// what stands beside its `Cargo.toml`: `permissions.toml`, what the service needs, and
/// `openapi.json`, what it offers. With the document of a table that describes itself there is no such file:
/// `service!(answer, OPENAPI)`, see [`routes!`](crate::routes).
#[macro_export]
macro_rules! service {
    ($answer:path, $document:path) => {
        $crate::handler!($answer);
        $crate::section!("archipel:permissions", "/permissions.toml");
        $crate::embedded!("archipel:openapi", $document.as_bytes());
    };
    ($answer:path) => {
        $crate::handler!($answer);
        $crate::section!("archipel:permissions", "/permissions.toml");
        $crate::section!("archipel:openapi", "/openapi.json");
    };
}

/// Exports `answer` as [`service!`] does, for a component that asks for nothing and
/// documents nothing.
///
/// Whole requests come by `archipel:http/handler`, which costs less, and those whose bodies are still on their way by
/// `wasi:http/incoming-handler`.
#[macro_export]
macro_rules! handler {
    ($answer:path) => {
        struct Exported;

        impl $crate::bindings::exports::wasi::http::incoming_handler::Guest for Exported {
            fn handle(
                request: $crate::bindings::wasi::http::types::IncomingRequest,
                out: $crate::bindings::wasi::http::types::ResponseOutparam,
            ) {
                $crate::send($answer($crate::receive(request)), out);
            }
        }

        impl $crate::answering::exports::archipel::http::handler::Guest for Exported {
            fn handle(
                request: $crate::answering::exports::archipel::http::handler::Request,
            ) -> $crate::answering::exports::archipel::http::handler::Answer {
                $crate::answered($answer($crate::whole(request)))
            }
        }

        $crate::bindings::export!(Exported with_types_in $crate::bindings);
        $crate::answering::export!(Exported with_types_in $crate::answering);
    };
}

/// Embeds a file, named from the `Cargo.toml`'s folder, as a custom section of the component.
#[doc(hidden)]
#[macro_export]
macro_rules! section {
    ($name:literal, $file:literal) => {
        $crate::embedded!($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), $file)));
    };
}

/// Embeds bytes as a custom section of the component.
#[doc(hidden)]
#[macro_export]
macro_rules! embedded {
    ($name:literal, $bytes:expr) => {
        const _: () = {
            const TEXT: &[u8] = $bytes;

            #[allow(unsafe_code, reason = "a custom section is data that no code refers to")]
            #[allow(dead_code, reason = "whoever reads the component uses it")]
            // Not `#[used]`: that would put it into the guest's memory, too.
            #[cfg_attr(target_family = "wasm", unsafe(link_section = $name))]
            static SECTION: [u8; TEXT.len()] = *TEXT.first_chunk().expect("its own length");
        };
    };
}

/// A request as it came from the host.
pub fn receive(request: IncomingRequest) -> Request {
    Request::new(Incoming { headers: None, request })
}

/// The fields are in the order in which they must be dropped: children before the request.
struct Incoming {
    headers: Option<Fields>,
    request: IncomingRequest,
}

impl Source for Incoming {
    fn method(&self) -> Method {
        match self.request.method() {
            types::Method::Get => Method::Get,
            types::Method::Head => Method::Head,
            types::Method::Post => Method::Post,
            types::Method::Put => Method::Put,
            types::Method::Patch => Method::Patch,
            types::Method::Delete => Method::Delete,
            _ => Method::Other,
        }
    }

    fn target(&self) -> String {
        self.request.path_with_query().unwrap_or_else(|| "/".to_owned())
    }

    fn header(&mut self, name: &str) -> Vec<Vec<u8>> {
        let request = &self.request;
        self.headers.get_or_insert_with(|| request.headers()).get(name)
    }

    fn body(&mut self, bytes_max: usize) -> Result<Vec<u8>, crate::Error> {
        let broken = || crate::Error::bad_request("The request body ended early");
        let body = self.request.consume().map_err(|()| crate::Error::internal("the body was read twice"))?;
        let stream = body.stream().map_err(|()| crate::Error::internal("the body was read twice"))?;
        let mut bytes = Vec::new();
        loop {
            match stream.blocking_read(CHUNK_BYTES) {
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(StreamError::Closed) => return Ok(bytes),
                Err(StreamError::LastOperationFailed(_)) => return Err(broken()),
            }
            if bytes.len() > bytes_max {
                return Err(crate::Error::TooLarge);
            }
        }
    }
}

/// Sends a response: its head at once, then its body.
///
/// A head that the host refuses becomes an empty 500. A body that the downstream no longer
/// wants is dropped quietly; the host has logged why.
pub fn send(response: Response, out: ResponseOutparam) {
    let (head, bytes) = match head(&response) {
        Ok(head) => (head, response.body),
        Err(problem) => {
            log(&problem);
            (failed(), Vec::new())
        }
    };
    let body = head.body().expect("taken once");
    ResponseOutparam::set(out, Ok(head));
    if !bytes.is_empty() && write(&body, &bytes).is_err() {
        return;
    }
    // An error here is the downstream's going away, or a length that the host has logged.
    let _ = OutgoingBody::finish(body, None);
}

fn head(response: &Response) -> Result<OutgoingResponse, String> {
    let fields =
        Fields::from_list(&response.headers).map_err(|error| format!("the answer's headers are refused: {error:?}"))?;
    let head = OutgoingResponse::new(fields);
    if response.status != 200 {
        head.set_status_code(response.status).map_err(|()| format!("{} is no status code", response.status))?;
    }
    Ok(head)
}

fn failed() -> OutgoingResponse {
    let head = OutgoingResponse::new(Fields::new());
    head.set_status_code(500).expect("500 is a status code");
    head
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), StreamError> {
    let stream = body.write().expect("taken once");
    write_all(&stream, bytes)
}

fn write_all(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        stream.write(now)?;
        bytes = later;
    }
    Ok(())
}
