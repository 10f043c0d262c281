//! One request with its way to answer, and the few helpers that every behaviour uses: by `wasi:http`. The same by
//! plain values is `probe-quick`'s.

use sdk::{
    Query, Response,
    bindings::wasi::{
        clocks::monotonic_clock,
        http::types::{
            Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam, Scheme,
        },
        io::streams::{InputStream, OutputStream, StreamError},
    },
};

/// Every parameter that some behaviour takes.
const PARAMETERS: [&str; 12] =
    ["bytes", "chunks", "code", "lines", "mib", "ms", "n", "name", "says", "sends", "size", "value"];

/// Names and values.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

pub(crate) struct Call {
    request: IncomingRequest,
    out: ResponseOutparam,
    path: String,
    query: Query,
}

impl Call {
    pub(crate) fn new(request: IncomingRequest, out: ResponseOutparam) -> Self {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query::parse(query, &PARAMETERS).expect("a test knows the parameters");
        Self { path: path.to_owned(), query, request, out }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn method(&self) -> String {
        match self.request.method() {
            Method::Other(name) => name,
            known => format!("{known:?}").replace("Method::", "").to_uppercase(),
        }
    }

    pub(crate) fn scheme(&self) -> Option<String> {
        self.request.scheme().map(|scheme| match scheme {
            Scheme::Http => "http".to_owned(),
            Scheme::Https => "https".to_owned(),
            Scheme::Other(name) => name,
        })
    }

    pub(crate) fn authority(&self) -> Option<String> {
        self.request.authority()
    }

    pub(crate) fn target(&self) -> Option<String> {
        self.request.path_with_query()
    }

    pub(crate) fn headers(&self) -> Headers {
        self.request.headers().entries()
    }

    pub(crate) fn upload(&self) -> Upload {
        Upload::of(&self.request)
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    pub(crate) fn number(&self, name: &str, absent: u64) -> u64 {
        self.parameter(name).map_or(absent, |text| text.parse().expect("a number"))
    }

    pub(crate) fn text(self, status: u16, text: &str) {
        self.send(Response::text(status, text));
    }

    pub(crate) fn json(self, value: &serde_json::Value) {
        self.send(Response::json(200, value.to_string()));
    }

    pub(crate) fn send(self, response: Response) {
        sdk::send(response, self.out);
    }

    /// Sends a head with these headers; the body is for the behaviour to write.
    pub(crate) fn head(self, headers: Headers) -> Body {
        self.head_of(200, headers)
    }

    pub(crate) fn head_of(self, code: u16, headers: Headers) -> Body {
        let response = OutgoingResponse::new(Fields::from_list(&headers).expect("a guest may say it"));
        response.set_status_code(code).expect("a status code");
        let body = response.body().expect("taken once");
        ResponseOutparam::set(self.out, Ok(response));
        let stream = body.write().expect("taken once");
        Body { stream, body, _request: self.request }
    }
}

/// An answer's body under way. The stream is first: it must be dropped before the body.
pub(crate) struct Body {
    stream: OutputStream,
    body: OutgoingBody,
    _request: IncomingRequest,
}

impl Body {
    /// Writes and waits until it is on its way.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), StreamError> {
        bytes.chunks(4096).try_for_each(|part| self.stream.blocking_write_and_flush(part))
    }

    pub(crate) fn write_nothing(&self) -> Result<(), StreamError> {
        self.stream.check_write()?;
        self.stream.write(&[])
    }

    pub(crate) fn finish(self) {
        drop(self.stream);
        // A refusal is what some behaviours are there to provoke; the test looks from outside.
        let _ = OutgoingBody::finish(self.body, None);
    }
}

/// The request's body; the stream is first: it must be dropped before the body.
pub(crate) struct Upload {
    stream: InputStream,
    _body: IncomingBody,
}

impl Upload {
    fn of(request: &IncomingRequest) -> Self {
        let body = request.consume().expect("taken once");
        Self { stream: body.stream().expect("taken once"), _body: body }
    }

    /// The next bytes, at most so many; nothing at the end, an error if it broke before.
    pub(crate) fn next(&self, bytes_max: u64) -> Result<Option<Vec<u8>>, StreamError> {
        match self.stream.blocking_read(bytes_max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StreamError::Closed) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn all(&self) -> Result<Vec<u8>, StreamError> {
        let mut bytes = Vec::new();
        while let Some(more) = self.next(65_536)? {
            bytes.extend(more);
        }
        Ok(bytes)
    }
}

/// How the host refuses a header before it is sent, if it does.
pub(crate) fn refusal(name: &str, value: &[u8]) -> Option<String> {
    Fields::new().append(name, value).err().map(|error| format!("{error:?}"))
}

pub(crate) fn wait(milliseconds: u64) {
    monotonic_clock::subscribe_duration(milliseconds * 1_000_000).block();
}
