//! What the gateway knows about one request besides the request itself.
//!
//! Decides the request's id. The trace ids are in `context/trace`; deadlines are counted in
//! `gateway`. Nothing here changes a header.

mod method;
mod trace;
mod tracestate;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use span::Recording;

use crate::{auth::Identity, body::Awaited};

pub use method::method_name;
pub use trace::TraceContext;
pub(crate) use trace::{TRACEPARENT, TRACESTATE, X_TRACE_ID, span_id_hex};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Made once when the head has been read; never changes after that.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The span is that of whoever answers; within the gateway's own, or the caller's.
    pub trace: TraceContext,
    /// What the request does, if anybody wants to know.
    pub spans: Option<Recording>,
    /// The path of the gateway's route, as the manifest has it.
    pub route: Option<Arc<str>>,
    /// `X-Request-Id`: the client's if it was valid, else ours.
    pub request_id: HeaderValue,
    /// The socket's other end, not a forwarded address.
    pub downstream: SocketAddr,
    /// The client's own address, as far as trusted proxies are believed: for limits and services.
    pub client: IpAddr,
    /// The client's connection is encrypted, as far as trusted proxies are believed.
    pub https: bool,
    /// The host that the client asked a trusted proxy for, where that says so.
    pub forwarded_host: Option<HeaderValue>,
    pub received: Instant,
    /// When the answer's last byte must have been sent at the latest. Where the body is read while
    /// it arrives, the gateway ends the request sooner: the service's own time is the timeout of
    /// its route, and stands still while it waits for its client.
    pub deadline: Instant,
    /// How long that was so far.
    pub awaited: Awaited,
    /// The deadline is that of the answer's head: what follows may go on, silent for so long at most.
    pub stream: Option<Duration>,
    /// Services a request has passed through; 0 from outside.
    pub hops: u8,
    /// Whom the request's token speaks for.
    pub identity: Option<Identity>,
    /// The service that made this call, if a service did.
    pub source_service: Option<Arc<str>>,
}

impl RequestContext {
    /// A request of the host's own: a health check, a trial of a new build.
    pub fn own(request_id: &'static str, timeout: Duration) -> Self {
        let now = Instant::now();
        let here = Ipv4Addr::LOCALHOST;
        Self {
            trace: TraceContext::start(),
            spans: None,
            route: None,
            request_id: HeaderValue::from_static(request_id),
            downstream: (here, 0).into(),
            client: here.into(),
            https: false,
            forwarded_host: None,
            received: now,
            deadline: now + timeout,
            awaited: Awaited::default(),
            stream: None,
            hops: 0,
            identity: None,
            source_service: None,
        }
    }
}

/// The client's `X-Request-Id` if it is one header of 1 to 128 visible ASCII characters, else a
/// new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    match (values.next(), values.next()) {
        (Some(id), None) if is_request_id(id.as_bytes()) => id.clone(),
        _ => new_request_id(),
    }
}

fn is_request_id(id: &[u8]) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A UUID version 7 (RFC 9562 5.7). It names a request and protects nothing, so a fast generator
/// makes its random part.
pub(crate) fn new_request_id() -> HeaderValue {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let random = fastrand::u128(..).to_be_bytes();
    let random = random.first_chunk::<10>().expect("ten of sixteen bytes");
    let id = uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid();
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).expect("a UUID is visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_kept_if_visible_ascii_and_short_else_replaced() {
        check(&["abc-123_~!"], true);
        check(&["x"], true);
        check(&[&"x".repeat(128)], true);
        check(&[&"x".repeat(129)], false);
        check(&[""], false);
        check(&["a b"], false);
        check(&["é"], false);
        check(&["a", "a"], false);
        check(&[], false);
    }

    #[track_caller]
    fn check(sent: &[&str], kept: bool) {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let id = request_id(&headers);
        if kept {
            assert_eq!(id, sent[0]);
        } else {
            let uuid: uuid::Uuid = id.to_str().unwrap().parse().unwrap();
            assert_eq!(uuid.get_version_num(), 7, "{sent:?}");
        }
    }
}
