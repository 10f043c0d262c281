//! Consul's HTTP API as hosts and other clients of it use it: registrations, their health as they say it themselves, and
//! blocking queries by index. Time makes nobody critical here: what a killed host has registered stays as it was.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Upstream, upstream::Act};

/// How long a query is held back where nothing changes.
const WAIT: Duration = Duration::from_secs(60);

/// One agent, with one node.
#[derive(Clone)]
pub struct Consul {
    state: Arc<(Mutex<State>, Condvar)>,
    server: Upstream,
}

#[derive(Default)]
struct State {
    /// Of the last change.
    index: u64,
    /// How much later than it changed whoever waits for a change hears of it.
    late: Duration,
    /// By id.
    services: BTreeMap<String, Service>,
}

struct Service {
    /// As it was registered.
    said: Value,
    /// `passing`, `warning` or `critical`.
    status: String,
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
        format!("[discovery.consul]\nurl = \"{}\"\ntags = [\"test\"]\n", self.url())
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// From now on a change is heard so much later, as of a cluster whose leader is elsewhere.
    pub fn be_late(&self, late: Duration) {
        self.state.0.lock().unwrap().late = late;
    }

    pub fn requests(&self) -> Vec<String> {
        self.server.requests()
    }
}

impl Service {
    fn text(&self, key: &str) -> &str {
        self.said[key].as_str().unwrap_or_default()
    }

    fn check(&self) -> Value {
        let id = self.text("ID");
        json!({
            "Node": "node", "CheckID": format!("service:{id}"), "Status": self.status, "Type": "ttl", "ServiceID": id,
            "ServiceName": self.text("Name"), "ServiceTags": self.said["Tags"],
        })
    }

    fn entry(&self) -> Value {
        json!({
            "Node": { "Node": "node", "Address": "127.0.0.1", "Datacenter": "dc1" },
            "Service": {
                "ID": self.text("ID"), "Service": self.text("Name"), "Address": self.text("Address"),
                "Port": self.said["Port"], "Tags": self.said["Tags"], "Meta": self.said["Meta"],
            },
            "Checks": [self.check()],
        })
    }
}

impl State {
    /// What a question is answered with; none: it is no question.
    fn told(&self, path: &str, query: &str) -> Option<Value> {
        if path == "/v1/catalog/services" {
            let all = self.services.values().map(|service| (service.text("Name"), &service.said["Tags"]));
            return Some(json!(all.collect::<BTreeMap<_, _>>()));
        }
        if path == "/v1/health/state/any" {
            return Some(self.services.values().map(Service::check).collect());
        }
        let name = path.strip_prefix("/v1/health/service/")?;
        let only_passing = query.split('&').any(|pair| pair.starts_with("passing"));
        let of_name = self.services.values().filter(|service| service.text("Name") == name);
        let shown = of_name.filter(|service| !only_passing || service.status == "passing");
        Some(shown.map(Service::entry).collect())
    }

    /// Does what it is told; none: there is nothing of that name.
    fn take(&mut self, path: &str, body: &str) -> Option<()> {
        let said = || serde_json::from_str::<Value>(body).unwrap();
        if path == "/v1/agent/service/register" {
            let said = said();
            let status = said["Check"]["Status"].as_str().unwrap_or("passing").to_owned();
            self.services.insert(said["ID"].as_str().unwrap().to_owned(), Service { said, status });
        } else if let Some(id) = path.strip_prefix("/v1/agent/service/deregister/") {
            self.services.remove(id)?;
        } else {
            let id = path.strip_prefix("/v1/agent/check/update/service:")?;
            let (service, said) = (self.services.get_mut(id)?, said());
            let status = said["Status"].as_str().unwrap();
            if service.status == status {
                return Some(());
            }
            status.clone_into(&mut service.status);
        }
        self.index += 1;
        Some(())
    }
}

fn answer((state, changed): &(Mutex<State>, Condvar), request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut now = state.lock().unwrap();
    if method == "PUT" {
        let taken = now.take(path, body);
        changed.notify_all();
        let status = if taken.is_some() { "200 OK" } else { "404 Not Found" };
        return format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    }
    let index = query.split('&').find_map(|pair| pair.strip_prefix("index=")?.parse::<u64>().ok());
    if let Some(known) = index.filter(|index| *index > 0) {
        let waited = changed.wait_timeout_while(now, WAIT, |now| now.index < known);
        let late = waited.unwrap().0.late;
        thread::park_timeout(late);
        now = state.lock().unwrap();
    }
    let Some(told) = now.told(path, query) else {
        return "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned();
    };
    // An index begins at 1.
    let (index, text) = (now.index + 1, told.to_string());
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-consul-index: {index}\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
}
