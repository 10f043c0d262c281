//! Outgoing HTTP of a component. No grant for it exists yet, so every request is refused here as
//! well as by the import check: there is no second way out.

use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

/// Of each body that a guest has begun, the host holds at most two pieces of this size.
const BODY_CHUNK_MAX_BYTES: usize = 16 << 10;

/// The hooks of a service that may reach nobody.
#[derive(Clone)]
pub struct NoWayOut {
    forbidden: ForbiddenHeaderFilter,
}

impl NoWayOut {
    pub fn new() -> Self {
        let forbidden = wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS;
        Self { forbidden: std::sync::Arc::new(move |name| forbidden.contains(name)) }
    }
}

type IoWork = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(http::Response<WasiBody>, IoWork), Error>;

impl WasiHttpHooks for NoWayOut {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        self.forbidden.clone()
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_MAX_BYTES
    }

    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _io: IoWork,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}
