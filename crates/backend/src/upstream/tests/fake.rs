//! Consul's HTTP API as far as we use it: blocking queries by index, registrations with a TTL, a token.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

pub(super) struct Fake {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    index: watch::Sender<u64>,
    /// Addresses by name.
    known: Mutex<BTreeMap<String, Vec<SocketAddr>>>,
    /// What it was told, in order: path and body.
    told: Mutex<Vec<(String, Value)>>,
    /// The queries of questions for addresses, in order.
    asked: Mutex<Vec<String>>,
    token: Mutex<Option<String>>,
    /// How long it takes to hear of something.
    slowness: Mutex<Duration>,
    telling: AtomicUsize,
    most_telling: AtomicUsize,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Fake {
    pub(super) async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(super) async fn at(address: SocketAddr) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener: TcpListener = socket.listen(16).unwrap();
        let state = Arc::new(State {
            index: watch::Sender::new(1),
            known: Mutex::default(),
            told: Mutex::default(),
            asked: Mutex::default(),
            token: Mutex::default(),
            slowness: Mutex::default(),
            telling: AtomicUsize::new(0),
            most_telling: AtomicUsize::new(0),
        });
        let (address, of) = (listener.local_addr().unwrap(), state.clone());
        // The connections end with it.
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let state = of.clone();
                connections.spawn(async move {
                    let answers = service_fn(move |request| answer(request, state.clone()));
                    // A client that goes away is no failure of the test.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), answers).await;
                });
            }
        });
        Self { address, state, serving }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on `name` is there, and whoever waits is told.
    pub(super) fn set(&self, name: &str, addresses: &[SocketAddr]) {
        self.state.known.lock().unwrap().insert(name.to_owned(), addresses.to_vec());
        self.state.index.send_modify(|index| *index += 1);
    }

    pub(super) fn demand(&self, token: &str) {
        *self.state.token.lock().unwrap() = Some(token.to_owned());
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// From now on it takes that long to hear of something.
    pub(super) fn slow_down(&self, to: Duration) {
        *self.state.slowness.lock().unwrap() = to;
    }

    /// So many told it something at the same time, since this was asked last.
    pub(super) fn most_telling(&self) -> usize {
        self.state.most_telling.swap(0, Relaxed)
    }

    /// The ids that were registered and not deregistered.
    pub(super) fn registered(&self) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for (path, said) in self.told() {
            match path.strip_prefix("/v1/agent/service/deregister/") {
                Some(id) => _ = ids.remove(id),
                None => ids.extend(said["ID"].as_str().map(str::to_owned)),
            }
        }
        ids
    }

    pub(super) fn told(&self) -> Vec<(String, Value)> {
        self.state.told.lock().unwrap().clone()
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let token = head.headers.get("x-consul-token").map(|token| token.to_str().unwrap().to_owned());
    if state.token.lock().unwrap().as_ref().is_some_and(|wanted| token.as_ref() != Some(wanted)) {
        return Ok(said(403, 0, "Permission denied".into()));
    }
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    if let Some(name) = path.strip_prefix("/v1/health/service/") {
        assert!(query.contains("passing=true"), "{query}");
        state.asked.lock().unwrap().push(query.clone());
        let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        let asked: u64 = value("index").map_or(0, |index| index.parse().unwrap());
        let wait: u64 = value("wait").map_or(0, |wait| wait.trim_end_matches('s').parse().unwrap());
        let mut index = state.index.subscribe();
        let _ = tokio::time::timeout(Duration::from_secs(wait), index.wait_for(|index| *index > asked)).await;
        let entry = |address: &SocketAddr| json!({ "Node": { "Address": address.ip().to_string() }, "Service": { "Address": "", "Port": address.port() } });
        let known = state.known.lock().unwrap().get(name).cloned().unwrap_or_default();
        let entries: Vec<Value> = known.iter().map(entry).collect();
        let now = *state.index.borrow();
        return Ok(said(200, now, json!(entries).to_string()));
    }
    let body = body.collect().await?.to_bytes();
    let telling = state.telling.fetch_add(1, Relaxed) + 1;
    state.most_telling.fetch_max(telling, Relaxed);
    let _left = Leaving(&state.telling);
    let slowness = *state.slowness.lock().unwrap();
    tokio::time::sleep(slowness).await;
    state.told.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap_or(Value::Null)));
    Ok(said(200, 0, String::new()))
}

/// Of one that tells something, also where it gives up.
struct Leaving<'a>(&'a AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn said(status: u16, index: u64, text: String) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(status).header("x-consul-index", index);
    answer.body(Full::new(text.into())).unwrap()
}
