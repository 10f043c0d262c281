//! One request with its way to answer, by plain values: what `probe` has by `wasi:http`.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use sdk::{
    Query,
    answering::exports::archipel::http::handler::{Request, Response, Scheme},
    bindings::wasi::{clocks::monotonic_clock, io::streams::StreamError},
};

/// Every parameter that some behaviour takes.
const PARAMETERS: [&str; 12] =
    ["bytes", "chunks", "code", "lines", "mib", "ms", "n", "name", "says", "sends", "size", "value"];

/// Names and values.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// Where the answer is put when it is whole.
#[derive(Clone, Default)]
pub(crate) struct Slot(Rc<RefCell<Option<Response>>>);

impl Slot {
    pub(crate) fn take(&self) -> Option<Response> {
        self.0.borrow_mut().take()
    }

    fn put(&self, response: Response) {
        *self.0.borrow_mut() = Some(response);
    }
}

pub(crate) struct Call {
    request: Request,
    slot: Slot,
    path: String,
    query: Query,
}

impl Call {
    pub(crate) fn new(request: Request, slot: Slot) -> Self {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let query = Query::parse(query, &PARAMETERS).expect("a test knows the parameters");
        Self { path: path.to_owned(), query, request, slot }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn method(&self) -> String {
        self.request.method.clone()
    }

    pub(crate) fn scheme(&self) -> Option<String> {
        let scheme = match self.request.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        Some(scheme.to_owned())
    }

    pub(crate) fn authority(&self) -> Option<String> {
        Some(self.request.authority.clone())
    }

    pub(crate) fn target(&self) -> Option<String> {
        Some(self.request.target.clone())
    }

    pub(crate) fn headers(&self) -> Headers {
        let fields = sdk::fields(&self.request.fields);
        fields.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
    }

    pub(crate) fn upload(&self) -> Upload {
        Upload { body: self.request.body.clone(), read: Cell::new(0) }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    pub(crate) fn number(&self, name: &str, absent: u64) -> u64 {
        self.parameter(name).map_or(absent, |text| text.parse().expect("a number"))
    }

    pub(crate) fn text(self, status: u16, text: &str) {
        self.send(sdk::Response::text(status, text));
    }

    pub(crate) fn json(self, value: &serde_json::Value) {
        self.send(sdk::Response::json(200, value.to_string()));
    }

    pub(crate) fn send(self, response: sdk::Response) {
        self.slot.put(sdk::answered(response).response);
    }

    /// Begins an answer with these headers; the body is for the behaviour to write.
    pub(crate) fn head(self, headers: Headers) -> Body {
        self.head_of(200, headers)
    }

    pub(crate) fn head_of(self, status: u16, headers: Headers) -> Body {
        Body { slot: self.slot, status, headers, written: RefCell::default() }
    }
}

/// An answer under way: it is one when it is finished.
pub(crate) struct Body {
    slot: Slot,
    status: u16,
    headers: Headers,
    written: RefCell<Vec<u8>>,
}

impl Body {
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), StreamError> {
        self.written.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn write_nothing(&self) -> Result<(), StreamError> {
        self.write(&[])
    }

    pub(crate) fn finish(self) {
        let Self { slot, status, headers, written } = self;
        slot.put(Response { status, headers, body: written.into_inner() });
    }
}

/// The request's body, read in pieces as if it came in some.
pub(crate) struct Upload {
    body: Vec<u8>,
    read: Cell<usize>,
}

impl Upload {
    /// The next bytes, at most so many; nothing at the end.
    pub(crate) fn next(&self, bytes_max: u64) -> Result<Option<Vec<u8>>, StreamError> {
        let left = &self.body[self.read.get()..];
        let piece = &left[..left.len().min(usize::try_from(bytes_max).expect("a size"))];
        self.read.set(self.read.get() + piece.len());
        Ok((!piece.is_empty()).then(|| piece.to_vec()))
    }

    pub(crate) fn all(&self) -> Result<Vec<u8>, StreamError> {
        Ok(self.body.clone())
    }
}

/// The host refuses a header when it is sent, not before.
pub(crate) fn refusal(_name: &str, _value: &[u8]) -> Option<String> {
    None
}

pub(crate) fn wait(milliseconds: u64) {
    monotonic_clock::subscribe_duration(milliseconds * 1_000_000).block();
}
