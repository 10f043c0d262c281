//! A request on its way to JavaScript.

use rquickjs::{Ctx, Function, Result, TypedArray, Value};

use crate::{
    engine::Broken,
    outside,
    world::service::wasi::http::types::{IncomingRequest, Method},
};

/// A request, by whichever door.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn put<'js>(self, ctx: &Ctx<'js>, answer: &Function<'js>, may_stream: bool) -> Result<Value<'js>> {
        let body = match self.body.is_empty() {
            true => None,
            false => Some(TypedArray::new(ctx.clone(), self.body)?),
        };
        answer.call((self.method, self.url, self.headers, body, may_stream))
    }
}

/// Names and values in turn, of a block of header fields.
pub(super) fn lines(block: Vec<u8>) -> Vec<String> {
    let block = text(block);
    let pairs = block.split("\r\n").filter_map(|line| line.split_once(':'));
    pairs.flat_map(|(name, value)| [name.to_owned(), value.trim_ascii_start().to_owned()]).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The trace's id, for what is said of a failure.
pub(super) fn trace(headers: &[String]) -> String {
    let parent = headers.chunks_exact(2).find(|pair| pair[0] == "traceparent").map(|pair| &pair[1]);
    parent.and_then(|parent| parent.split('-').nth(1)).unwrap_or_default().to_owned()
}

pub(super) fn asked(request: &IncomingRequest) -> std::result::Result<(Asked, String), Broken> {
    let headers = request.headers().entries().into_iter();
    let headers: Vec<String> = headers.flat_map(|(name, value)| [name, text(value)]).collect();
    let trace = trace(&headers);
    let body = request.consume().map_err(|()| Broken("the request was read twice".to_owned()))?;
    let asked = Asked {
        method: match request.method() {
            Method::Get => "GET".to_owned(),
            Method::Head => "HEAD".to_owned(),
            Method::Post => "POST".to_owned(),
            Method::Put => "PUT".to_owned(),
            Method::Delete => "DELETE".to_owned(),
            Method::Connect => "CONNECT".to_owned(),
            Method::Options => "OPTIONS".to_owned(),
            Method::Trace => "TRACE".to_owned(),
            Method::Patch => "PATCH".to_owned(),
            Method::Other(name) => name,
        },
        url: format!(
            "http://{}{}",
            request.authority().unwrap_or_else(|| "localhost".to_owned()),
            request.path_with_query().unwrap_or_else(|| "/".to_owned())
        ),
        headers,
        body: outside::gathered(&body).map_err(Broken)?,
    };
    Ok((asked, trace))
}
