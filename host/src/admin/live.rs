//! What happens now: traces and log lines as they come, and how much the log tells.
//!
//! A stream has one JSON document a line and goes on until its reader leaves, the host stops, or an hour is
//! over. Reading needs `may = ["read"]`; what the log tells is changed with `apply`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use gateway::{
    body::{Body, BodyError},
    context::RequestContext,
    dispatch::{Dispatch, DispatchError, Dispatched},
};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, ORIGIN},
};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use span::{Head, Kind, Recorder, Said, Trace};

use super::{answer, token::permitted};
use crate::telemetry::Logs;
use manifest::May;

/// What an address does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveAction {
    Traces,
    Logs,
    Level,
    SetLevel,
}

/// All addresses: what they do, with which method.
pub const LIVE_ACTIONS: [(&str, Method, LiveAction); 4] = [
    ("/v1/traces", Method::GET, LiveAction::Traces),
    ("/v1/logs", Method::GET, LiveAction::Logs),
    ("/v1/log", Method::GET, LiveAction::Level),
    ("/v1/log", Method::PUT, LiveAction::SetLevel),
];

/// How long a stream goes on.
pub const STREAM_MAX: Duration = Duration::from_secs(3600);
/// Of a text that says what the log tells.
const LEVEL_MAX_BYTES: u64 = 1024;

/// One address.
pub struct LiveApi {
    pub action: LiveAction,
    pub recorder: Arc<Recorder>,
    pub logs: Arc<Logs>,
}

impl Dispatch for LiveApi {
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        Box::pin(async move { self.answer(&cx, request).await })
    }
}

impl LiveApi {
    async fn answer(&self, cx: &RequestContext, request: Request<Body>) -> Result<Response<Body>, DispatchError> {
        if request.headers().contains_key(ORIGIN) {
            let error = "Pages of a browser may not use the admin API";
            return Ok(answer::refused(cx, StatusCode::FORBIDDEN, error));
        }
        let may = if self.action == LiveAction::SetLevel { May::Apply } else { May::Read };
        let Some(by) = permitted(cx, may) else {
            let error = format!("The token may not `{}`; `admin.tokens.NAME.may` says what it may", may.as_str());
            return Ok(answer::refused(cx, StatusCode::FORBIDDEN, &error));
        };
        Ok(match self.action {
            LiveAction::Traces => self.traces(cx, request.uri().query().unwrap_or_default()),
            LiveAction::Logs => self.lines(cx),
            LiveAction::Level => answer::ok(cx, &json!({"level": self.logs.level()})),
            LiveAction::SetLevel => self.set_level(cx, &by, request).await?,
        })
    }

    fn traces(&self, cx: &RequestContext, query: &str) -> Response<Body> {
        let wanted = match Wanted::read(query) {
            Ok(wanted) => wanted,
            Err(error) => return answer::refused(cx, StatusCode::BAD_REQUEST, &error),
        };
        let Some(follower) = self.recorder.follow() else { return too_many(cx) };
        let lines = stream::unfold((follower, wanted), |(mut follower, wanted)| async move {
            loop {
                let trace = follower.next().await?;
                if wanted.is(&trace) {
                    return Some((line(&document(&trace)), (follower, wanted)));
                }
            }
        });
        streamed(lines)
    }

    fn lines(&self, cx: &RequestContext) -> Response<Body> {
        let Some(follower) = self.logs.follow() else { return too_many(cx) };
        streamed(stream::unfold(follower, |mut follower| async move { Some((follower.recv().await?, follower)) }))
    }

    async fn set_level(
        &self,
        cx: &RequestContext,
        by: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, DispatchError> {
        let body = request.into_body().collect().await?.to_bytes();
        let said: Option<Value> = serde_json::from_slice(&body).ok().filter(|_| body.len() as u64 <= LEVEL_MAX_BYTES);
        let Some(level) = said.as_ref().and_then(|said| said["level"].as_str()) else {
            let error = "Send `{\"level\": \"info,gateway=debug\"}`";
            return Ok(answer::refused(cx, StatusCode::BAD_REQUEST, error));
        };
        let before = self.logs.level();
        if let Err(reason) = self.logs.set_level(level) {
            return Ok(answer::refused(cx, StatusCode::BAD_REQUEST, &format!("The level is {reason}")));
        }
        tracing::warn!(by, before, now = level, "what the log tells was changed");
        Ok(answer::ok(cx, &json!({"level": level, "before": before})))
    }
}

/// Which traces are shown.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    /// Of the gateway, as the manifest has it.
    route: Option<String>,
    slow: Duration,
    errors: bool,
}

impl Wanted {
    /// `route=/api/users/{id}&slowMs=100&errors=true`; a route may be percent-encoded.
    fn read(query: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "route" => wanted.route = Some(decoded(value)),
                "slowMs" => {
                    let millis = value.parse().map_err(|_| format!("`slowMs` is `{value}`; it is a whole number"))?;
                    wanted.slow = Duration::from_millis(millis);
                }
                "errors" => wanted.errors = value == "true",
                _ => return Err(format!("`{key}` is unknown here; there are `route`, `slowMs` and `errors`")),
            }
        }
        Ok(wanted)
    }

    fn is(&self, trace: &Trace) -> bool {
        let took = |span: Head<'_>| span.ended.saturating_duration_since(span.began);
        let has_route = |route: &String| {
            let mut has = false;
            let mut look = |key: &str, value: Said<'_>| has |= key == "http.route" && value == Said::Text(route);
            trace.spans.iter().for_each(|span| span.each(&mut look));
            has
        };
        self.route.as_ref().is_none_or(has_route)
            && trace.spans.iter().any(|span| took(span.head()) >= self.slow)
            && (!self.errors || trace.spans.iter().any(|span| span.head().error.is_some()))
    }
}

fn document(trace: &Trace) -> Value {
    let began = trace.spans.iter().map(|span| span.head().began).min();
    let millis = |duration: Duration| duration.as_micros() as f64 / 1000.0;
    let spans = trace.spans.iter().map(|span| {
        let mut attributes = serde_json::Map::new();
        span.each(&mut |key, value| _ = attributes.insert(key.to_owned(), of(value)));
        let (source, span) = (span.source(), span.head());
        json!({
            "spanId": format!("{:016x}", span.id),
            "parentId": span.parent.map(|parent| format!("{parent:016x}")),
            "service": &*source.name,
            "version": &*source.version,
            "kind": kind(span.kind),
            "name": span.name.to_string(),
            "atMs": began.map(|began| millis(span.began.saturating_duration_since(began))),
            "durationMs": millis(span.ended.saturating_duration_since(span.began)),
            "error": span.error.map(|error| error.to_string()),
            "attributes": attributes,
        })
    });
    json!({
        "traceId": format!("{:032x}", trace.trace_id),
        "sampled": trace.sampled,
        "leftOut": trace.left_out,
        "spans": spans.collect::<Vec<_>>(),
    })
}

fn of(value: Said<'_>) -> Value {
    match value {
        Said::Int(number) => number.into(),
        Said::Float(number) => number.into(),
        Said::Bool(truth) => truth.into(),
        text => text.to_string().into(),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Internal => "internal",
        Kind::Server => "server",
        Kind::Client => "client",
        Kind::Producer => "producer",
        Kind::Consumer => "consumer",
    }
}

fn line(document: &Value) -> Bytes {
    (document.to_string() + "\n").into()
}

fn streamed(lines: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let frames = lines.map(|line| Ok::<_, BodyError>(Frame::data(line)));
    let mut response = Response::new(Body::from(StreamBody::new(frames).boxed_unsync()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

fn too_many(cx: &RequestContext) -> Response<Body> {
    answer::refused(cx, StatusCode::SERVICE_UNAVAILABLE, "Too many follow already; end one of them")
}

/// Without percent-encoding; what is none stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let pair = after.first_chunk::<2>().and_then(|pair| std::str::from_utf8(pair).ok());
        let (byte, left) = match (*first, pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => (byte, &after[2..]),
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = left;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_which_traces_are_shown() {
        let wanted = Wanted::read("route=/api/users/%7Bid%7D&slowMs=100&errors=true").expect("understood");
        let route = Some("/api/users/{id}".to_owned());
        assert_eq!(wanted, Wanted { route, slow: Duration::from_millis(100), errors: true });
        assert_eq!(Wanted::read("slowMs=soon"), Err("`slowMs` is `soon`; it is a whole number".into()));
        assert!(Wanted::read("unknown=1").is_err());
        assert_eq!(decoded("a%zz%2"), "a%zz%2");
    }
}
