//! Consul's HTTP API as hosts use it: registrations, and blocking queries by index. Nobody is ever critical: what a
//! killed host has registered stays.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Upstream, upstream::Act};

/// Consul's HTTP API as far as hosts use it.
#[derive(Clone)]
pub struct Consul {
    state: Arc<(Mutex<State>, Condvar)>,
    server: Upstream,
}

#[derive(Default)]
struct State {
    index: u64,
    /// By id.
    services: BTreeMap<String, Value>,
}

impl Consul {
    pub fn start() -> Self {
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let of = state.clone();
        let server = Upstream::acting(move |_, request| Act::Say(answer(&of, request).into_bytes()));
        Self { state, server }
    }

    /// The ids of what is registered.
    pub fn ids(&self) -> Vec<String> {
        self.state.0.lock().unwrap().services.keys().cloned().collect()
    }

    /// `[discovery.consul]` of a host that registers with it.
    pub fn settings(&self) -> String {
        format!("[discovery.consul]\nurl = \"http://{}\"\ntags = [\"test\"]\n", self.server.address)
    }

    pub fn requests(&self) -> Vec<String> {
        self.server.requests()
    }
}

fn answer((state, changed): &(Mutex<State>, Condvar), request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut now = state.lock().unwrap();
    if let Some(name) = path.strip_prefix("/v1/health/service/") {
        let asked =
            query.split('&').find_map(|pair| pair.strip_prefix("index=")).map_or(0, |index| index.parse().unwrap());
        if asked > 0 {
            let waited = changed.wait_timeout_while(now, Duration::from_secs(60), |now| now.index < asked);
            now = waited.unwrap().0;
        }
        let of_name = now.services.values().filter(|service| service["Name"] == name);
        let entries: Vec<Value> =
            of_name.map(|service| json!({ "Node": { "Address": "" }, "Service": service })).collect();
        let text = json!(entries).to_string();
        // An index begins at 1.
        let index = now.index + 1;
        return format!("HTTP/1.1 200 OK\r\nx-consul-index: {index}\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    }
    if path == "/v1/agent/service/register" {
        let said: Value = serde_json::from_str(body).unwrap();
        now.services.insert(said["ID"].as_str().unwrap().to_owned(), said);
        now.index += 1;
    } else if let Some(id) = path.strip_prefix("/v1/agent/service/deregister/") {
        now.services.remove(id);
        now.index += 1;
    }
    changed.notify_all();
    "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()
}
