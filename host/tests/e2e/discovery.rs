//! Hosts that find one another's services by Consul.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{Command, Host, Upstream, place, until, upstream::Act, write_manifest};

/// Consul's HTTP API as far as hosts use it.
#[derive(Clone)]
struct Consul {
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
    fn start() -> Self {
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let of = state.clone();
        let server = Upstream::acting(move |_, request| Act::Say(answer(&of, request).into_bytes()));
        Self { state, server }
    }

    /// The ids of what is registered.
    fn ids(&self) -> Vec<String> {
        self.state.0.lock().unwrap().services.keys().cloned().collect()
    }

    fn settings(&self) -> String {
        format!("[discovery.consul]\nurl = \"http://{}\"\ntags = [\"test\"]\n", self.server.address)
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

fn users(consul: &Consul) -> Host {
    Host::running(&format!(
        "{}[services.users]\ncomponent = \"COMPONENTS/hello.wasm\"\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"users\"\npublic = true\n",
        consul.settings()
    ))
}

#[test]
fn a_gateway_finds_the_services_of_other_hosts_and_one_that_stops_costs_no_request() {
    let consul = Consul::start();
    let (first, second) = (users(&consul), users(&consul));
    until("both are registered", || consul.ids().len() == 2);
    assert!(consul.ids().contains(&format!("users-127.0.0.1-{}", first.gateway.port())));
    let front = Host::running(&format!(
        "{}[services.users]\nurl = {{ discover = \"consul:users\" }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"users\"\npublic = true\n",
        consul.settings()
    ));
    assert_eq!(front.get("/").text(), "hello from archipel\n", "the first request waits for the first answer");
    let addresses = |front: &Host| {
        let status = front.admin("GET", "/v1/services/users", b"").json()["data"].clone();
        (status["url"].clone(), status["addresses"].as_array().unwrap().len())
    };
    assert_eq!(addresses(&front), (json!(["consul:users"]), 2));

    let stopping = thread::spawn(move || first.stop());
    let mut asked = 0;
    while !stopping.is_finished() || asked < 100 {
        let answer = front.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello from archipel\n"), "after {asked}");
        asked += 1;
    }
    stopping.join().unwrap();
    // Consul's answer to the gateway may take longer than the requests.
    until("the one that stopped is forgotten", || addresses(&front).1 == 1);
    assert_eq!(consul.ids(), [format!("users-127.0.0.1-{}", second.gateway.port())]);

    let third = users(&consul);
    until("the new one is found", || addresses(&front).1 == 2);
    drop(second.killed());
    let failed = (0..100).filter(|_| front.get("/").status != 200).count();
    assert!(failed <= 1, "{failed} of 100 when a host was killed");
    drop(third);
}

#[test]
fn a_system_that_is_there_for_a_test_is_not_registered() {
    let consul = Consul::start();
    let folder = place();
    let manifest = write_manifest(
        folder.path(),
        &format!(
            "{}[services.users]\ncomponent = \"COMPONENTS/hello.wasm\"\n\
             [[routes]]\npath = \"/{{*rest}}\"\nservice = \"users\"\npublic = true\n",
            consul.settings()
        ),
    );
    // Longer than it takes to be registered.
    let looks = "\"$ARCHIPEL\" status && \"$ARCHIPEL\" status";
    let done = Command::new(&["test", manifest.to_str().unwrap(), "--", "sh", "-c", looks]).done();
    assert_eq!(done.code, 0, "{}{}", done.output, done.errors);
    assert_eq!(consul.server.requests(), Vec::<String>::new());
}
