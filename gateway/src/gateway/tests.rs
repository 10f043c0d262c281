//! Requests through the whole gateway, to services that are closures.

mod answers;
mod cors;
mod counts;
mod entrance;
mod heads;
mod limits;
mod log;
mod paths;
mod socket;
mod switching;
mod uploads;
mod w3c;
mod wire;

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

use super::*;
use crate::{
    auth::Access,
    cors::RouteCors,
    dispatch::{Dispatch, DispatchError, Dispatched},
    route::{Methods, Route},
};

/// What a service received.
type Seen = Arc<Mutex<Vec<(Parts, RequestContext)>>>;

fn settings() -> Settings {
    Settings {
        hosts: Vec::new(),
        any_address: false,
        expose_version: true,
        body_limit_bytes: 10,
        timeout: Duration::from_secs(10),
        requests_max: NonZeroUsize::new(2).unwrap(),
        access: Access::Public,
        limit: None,
        trusted_proxies: Vec::new(),
        trust: None,
        cors: None,
    }
}

/// Every path leads to `service`.
fn gateway(service: impl Dispatch) -> Gateway {
    Gateway::new(table(vec![entry("/{*rest}", Methods::Any, service)]), settings())
}

fn table(entries: Vec<Entry>) -> RouteTable {
    RouteTable::new(entries).unwrap_or_else(|conflicts| panic!("{conflicts:?}"))
}

fn entry(path: &str, methods: Methods, service: impl Dispatch) -> Entry {
    let route =
        Route { host: None, path: path.parse().unwrap(), methods, timeout: None, body_limit_bytes: None, stream: None };
    let dispatch = Arc::new(service);
    Entry {
        route,
        dispatch,
        exempt: false,
        access: Access::Public,
        limit: None,
        cors: RouteCors::default(),
        label: "service".into(),
        counts: Arc::default(),
    }
}

/// A service that answers from its request at once.
fn service<F>(answer: F) -> impl Dispatch
where
    F: Fn(Request<Body>) -> Result<Response<Body>, DispatchError> + Send + Sync + 'static,
{
    move |_cx: Arc<RequestContext>, request: Request<Body>| -> Dispatched<'static> {
        let answer = answer(request);
        Box::pin(async move { answer })
    }
}

fn hello() -> impl Dispatch {
    service(|_request| Ok(Response::new(body::full("hello"))))
}

/// A service that never answers.
fn silent() -> impl Dispatch {
    |_cx: Arc<RequestContext>, _request: Request<Body>| -> Dispatched<'static> { Box::pin(std::future::pending()) }
}

fn recording(seen: &Seen) -> impl Dispatch {
    let seen = seen.clone();
    move |cx: Arc<RequestContext>, request: Request<Body>| -> Dispatched<'static> {
        seen.lock().unwrap().push((request.into_parts().0, (*cx).clone()));
        Box::pin(async { Ok(Response::new(body::full("seen"))) })
    }
}

/// `GET /path` with header lines below, and no body.
fn request(text: &str) -> Request<Full<Bytes>> {
    let mut lines = text.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target);
    let mut has_host = target.starts_with("http");
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        has_host |= name == "host";
        request = request.header(name, value);
    }
    if !has_host {
        request = request.header("host", "shop.test");
    }
    request.body(Full::default()).unwrap()
}

async fn send<B>(gateway: &Gateway, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    gateway.handle("192.0.2.7:5000".parse().unwrap(), true, request).await
}

async fn text(response: Response<Body>) -> Result<String, BodyError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// The frames, then silence if `ends` is false.
fn stream(parts: &[&'static str], ends: bool) -> Body {
    use futures_util::StreamExt;
    let frames: VecDeque<Result<_, BodyError>> = parts.iter().map(|part| Ok(Frame::data(Bytes::from(*part)))).collect();
    let frames = futures_util::stream::iter(frames);
    match ends {
        true => Body::new(StreamBody::new(frames)),
        false => Body::new(StreamBody::new(frames.chain(futures_util::stream::pending()))),
    }
}

/// The envelope, checked against the headers; gives its sentence.
async fn sentence(response: Response<Body>, status: u16) -> String {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/json");
    let trace_id = response.headers()["x-trace-id"].to_str().unwrap().to_owned();
    assert!(response.headers().contains_key("x-request-id") && !response.headers().contains_key("x-service"));
    let json: serde_json::Value = serde_json::from_str(&text(response).await.unwrap()).unwrap();
    assert_eq!((json["success"].as_bool(), json["traceId"].as_str()), (Some(false), Some(trace_id.as_str())));
    json["error"].as_str().unwrap().to_owned()
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a HeaderValue> {
    headers.get_all(name).iter().collect()
}
