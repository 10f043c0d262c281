//! `GET /metrics` counts what happens, says so in two formats, and tells nobody's secrets.

use std::{collections::BTreeSet, fs, time::Duration};

use serde_json::json;

use crate::{
    harness::{
        Answer, Connection, Host, Redis,
        admin::{build, wasm},
        exchange, place, probe,
        spoilt::{TRAP, starting_with},
        until,
        upstream::quoted,
        write_manifest,
    },
    limits::paused,
    ramp::under_load,
};

mod format;
mod prometheus;

use format::{Page, parsed};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

fn scrape(host: &Host, accept: &[(&str, &str)]) -> Answer {
    let answer = exchange(host.admin, "GET", "/metrics", accept, b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn page(host: &Host) -> Page {
    parsed(&scrape(host, &[]).text(), false)
}

/// Waits until a sample has this value.
#[track_caller]
pub fn becomes(host: &Host, sample: &str, wanted: f64) {
    let began = std::time::Instant::now();
    loop {
        let page = page(host);
        if page.value(sample) == Some(wanted) {
            return;
        }
        assert!(began.elapsed().as_secs() < 30, "{sample} is {:?}, never {wanted}\n{page:?}", page.value(sample));
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

/// A caller behind `/caller/…`, which may call `callee` and reach nothing outside.
fn pair() -> String {
    "[services.caller]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = { call = [\"callee\"] }\n\
     [services.callee]\ncomponent = \"COMPONENTS/probe.wasm\"\n\
     limits = { timeout = \"5s\", cpu = \"200ms\", memory = \"32MiB\" }\n\
     [[routes]]\npath = \"/call\"\nservice = \"caller\"\npublic = true\n\
     [[routes]]\npath = \"/items/{id}\"\nmethods = [\"GET\"]\nservice = \"callee\"\npublic = true\n\
     [[routes]]\npath = \"/{*rest}\"\nservice = \"callee\"\npublic = true\n"
        .to_owned()
}

#[test]
fn traffic_failures_calls_and_denials_move_the_counts() {
    let host = Host::running(&pair());
    let before = page(&host);
    assert_eq!(before.value("archipel_service_requests_total{service=\"callee\"}"), Some(0.0));

    for path in ["/items/7", "/items/canary-path"] {
        assert_eq!(host.send("GET", path, &[("authorization", "Bearer canary-token")], b"").status, 404);
    }
    host.send("CANARY", "/echo?name=canary-query", &[("user-agent", "canary-agent")], b"");
    assert_eq!(host.get("/trap").status, 502);
    assert_eq!(host.get("/spin").status, 504);
    assert_eq!(host.get("/no-answer").status, 502);
    host.get("/grow?mib=64");
    let told = |url: &str| host.get(&format!("/call?url={}", quoted(url))).json()[0].clone();
    told("http://callee.internal/");
    told("http://callee.internal/status?code=500");
    told("http://other.internal/");
    told("http://canary.example:1/");

    becomes(
        &host,
        "archipel_http_requests_total{route=\"/items/{id}\",service=\"callee\",method=\"GET\",status=\"4xx\"}",
        2.0,
    );
    becomes(
        &host,
        "archipel_http_requests_total{route=\"/{*rest}\",service=\"callee\",method=\"OTHER\",status=\"2xx\"}",
        1.0,
    );
    becomes(&host, "archipel_http_request_duration_seconds_count{route=\"/call\",service=\"caller\"}", 4.0);
    for kind in ["trap", "cpu", "no_answer"] {
        becomes(&host, &format!("archipel_service_failures_total{{service=\"callee\",kind=\"{kind}\"}}"), 1.0);
    }
    let now = page(&host);
    let value = |sample: &str| now.value(sample).unwrap_or_else(|| panic!("no {sample}\n{now:?}"));
    assert!(value("archipel_service_memory_refused_total{service=\"callee\",limit=\"instance\"}") >= 1.0);
    assert!(value("archipel_service_instances_started_total{service=\"callee\"}") >= 5.0);
    let calls = value("archipel_calls_total{service=\"caller\",callee=\"callee\"}");
    let failed = value("archipel_call_errors_total{service=\"caller\",callee=\"callee\"}");
    assert_eq!((calls, failed), (2.0, 1.0));
    for permission in ["call", "net"] {
        let denied = format!("archipel_permission_denials_total{{service=\"caller\",permission=\"{permission}\"}}");
        assert_eq!(value(&denied), 1.0, "{denied}");
    }
    let errors = value("archipel_service_errors_total{service=\"callee\"}");
    assert!(errors >= 4.0, "{errors}");
    assert!(value("process_resident_memory_bytes") > 1e6 && value("process_cpu_seconds_total") > 0.0);
    assert!(value("process_open_fds") > 3.0 && value("archipel_guest_memory_max_bytes") > 1e6);
    assert!(value("archipel_connections_total") >= 10.0);
    assert_eq!(value(&format!("archipel_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);

    let text = scrape(&host, &[]).text();
    let status = host.admin("GET", "/v1/services/callee", b"").json()["data"].clone();
    assert_eq!(json!(value("archipel_service_requests_total{service=\"callee\"}")), json!(status["requests"].as_f64()));
    for canary in ["canary", &host.admin_token()] {
        assert!(!text.to_lowercase().contains(&canary.to_lowercase()), "{canary} in {text}");
    }
}

#[test]
fn refusals_are_counted_by_reason_and_a_host_that_spins_is_full_or_drains_still_answers() {
    let mut host = Host::running(&format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nrequests_max = 4\ntimeout = \"60s\"\n\
         [auth.main]\nissuer = \"a\"\naudience = \"b\"\nkeys = {{ generate = true }}\n{}\
         [[routes]]\npath = \"/mine\"\nmethods = [\"GET\"]\nservice = \"probe\"\nauth = \"main\"\n",
        probe("limits = { timeout = \"60s\", cpu = \"60s\" }")
    ));
    let refused = |reason: &str| format!("archipel_http_requests_refused_total{{reason=\"{reason}\"}}");
    assert_eq!(host.get("/mine").status, 401);
    becomes(&host, &refused("authentication"), 1.0);
    let mut garbage = Connection::open(host.gateway);
    garbage.write(b"GET / HTTP/1.1\r\nbad header\r\n\r\n");
    assert_eq!(garbage.answer(false).unwrap().status, 400);
    becomes(&host, &refused("malformed"), 1.0);

    let spin = |_| {
        let mut connection = Connection::open(host.gateway);
        connection.request("GET", "/spin", &[], b"");
        connection
    };
    let spinning: Vec<Connection> = (0..4).map(spin).collect();
    becomes(&host, "archipel_http_requests_in_flight", 4.0);
    assert_eq!(host.get("/").status, 503, "it is full");
    becomes(&host, &refused("overloaded"), 1.0);
    host.signal("TERM");
    until("it drains", || Some(()).filter(|()| exchange(host.admin, "GET", "/health/ready", &[], b"").status == 503));
    assert_eq!(page(&host).value("archipel_http_requests_in_flight"), Some(4.0));
    drop(spinning);
    assert!(host.ended().success());
}

#[test]
fn a_client_that_leaves_before_its_answer_is_counted_as_one() {
    let host = Host::probe("limits = { timeout = \"20s\" }");
    let mut connection = Connection::open(host.gateway);
    connection.request("GET", "/sleep?ms=20000", &[], b"");
    becomes(&host, "archipel_service_requests_in_flight{service=\"probe\"}", 1.0);
    drop(connection);
    becomes(
        &host,
        "archipel_http_requests_total{route=\"/{*rest}\",service=\"probe\",method=\"GET\",status=\"none\"}",
        1.0,
    );
    becomes(&host, "archipel_service_requests_in_flight{service=\"probe\"}", 0.0);
}

fn page_sum(host: &Host, name: &str, label: &str) -> f64 {
    let page = page(host);
    page.samples.iter().filter(|(sample, _)| sample.starts_with(name) && sample.contains(label)).map(|(_, n)| n).sum()
}

/// Slower by itself is no reason here: ten answers do not outweigh one during which the machine stood still.
const BRISK: &str = "swap = { ramp = { steps = [\"20%\", \"60%\"], step = \"200ms\", min_requests = 10 }, \
                     rollback = { error_rate = \"5%\", latency = \"10000%\", window = \"5s\" } }";

#[test]
fn swaps_and_ramps_are_counted_by_how_they_end() {
    let host = Host::probe(BRISK);
    let swaps = |outcome: &str| format!("archipel_swaps_total{{service=\"probe\",outcome=\"{outcome}\"}}");
    let ramps = |decision: &str| format!("archipel_ramp_decisions_total{{service=\"probe\",decision=\"{decision}\"}}");
    assert_eq!(host.swap("probe", b"no component").status, 422);
    assert_eq!(host.swap("probe", &starting_with(&wasm("probe"), TRAP)).status, 409);
    assert_eq!(host.swap("probe", &build(&wasm("probe"), 1)).status, 200);
    assert_eq!(host.admin("POST", "/v1/services/probe/rollback", b"").status, 200);
    let now = page(&host);
    for (outcome, wanted) in [("refused", 2.0), ("live", 1.0), ("rolled_back", 1.0), ("superseded", 0.0)] {
        assert_eq!(now.value(&swaps(outcome)), Some(wanted), "{outcome}");
    }
    assert_eq!(now.value("archipel_swap_duration_seconds_count{service=\"probe\"}"), Some(2.0));

    let ramp = |wasm: &[u8]| host.admin("POST", "/v1/services/probe/swap?ramp=true", wasm);
    assert_eq!(ramp(&build(&wasm("probe"), 2)).status, 200);
    becomes(&host, "archipel_ramp_share_ratio{service=\"probe\"}", 0.2);
    under_load(&host, &["/"], |_| becomes(&host, &ramps("promoted"), 1.0));
    becomes(&host, "archipel_ramp_share_ratio{service=\"probe\"}", 0.0);
    assert_eq!(ramp(&build(&wasm("probe"), 3)).status, 200);
    assert_eq!(host.admin("POST", "/v1/services/probe/rollback", b"").status, 200);
    becomes(&host, &ramps("reverted"), 1.0);
    let now = page(&host);
    assert_eq!((now.value(&ramps("started")), now.value(&ramps("step"))), (Some(2.0), Some(3.0)));
    assert_eq!(now.value(&swaps("live")), Some(1.0), "a ramp is counted by its decisions");

    let manifest = write_manifest(
        host.folder.path(),
        &(probe(BRISK) + "[[routes]]\npath = \"/more\"\nservice = \"probe\"\npublic = true\n"),
    );
    let asked = "archipel_service_requests_total{service=\"probe\"}";
    let before = now.value(asked).unwrap();
    assert_eq!(host.apply("nonsense").status, 422);
    let answer = host.apply(&fs::read_to_string(manifest).unwrap());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let now = page(&host);
    let applied = |outcome: &str| now.value(&format!("archipel_manifests_applied_total{{outcome=\"{outcome}\"}}"));
    assert_eq!((applied("applied"), applied("invalid")), (Some(1.0), Some(1.0)));
    assert!(now.value(asked).unwrap() >= before, "counts go on over an applied manifest");
}

#[test]
fn both_formats_are_well_formed_name_what_the_page_documents_and_need_no_token() {
    let host = Host::probe("");
    let text = scrape(&host, &[]);
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let open = scrape(&host, &[("accept", OPEN_METRICS)]);
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let (text, open) = (parsed(&text.text(), false), parsed(&open.text(), true));
    let names = |page: &Page| page.samples.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&text), names(&open), "the same samples in both");
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md")).unwrap();
    let names = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name));
    let shown: BTreeSet<&str> = text.families.keys().map(String::as_str).collect();
    assert_eq!(shown, names.collect::<BTreeSet<_>>(), "docs/metrics.md has what is shown");

    let mut renamed = Connection::open(host.admin);
    renamed.write(b"GET /metrics HTTP/1.1\r\nhost: evil.test\r\n\r\n");
    assert_eq!(renamed.answer(false).expect("an answer").status, 421, "only for its own `Host`");
    assert_eq!(exchange(host.admin, "POST", "/metrics", &[], b"").status, 401, "it is only read");
    assert_eq!(host.get("/metrics").header("content-type"), host.get("/").header("content-type"), "not on the gateway");
}

#[test]
fn events_are_counted_and_a_redis_that_hangs_costs_a_scrape_nothing() {
    let redis = Redis::start();
    let host = Host::running_in(
        place(),
        &format!(
            "[redis.main]\nurl = \"{}\"\n[events]\nredis = \"main\"\n[services.a]\ncomponent = \"COMPONENTS/probe_events.wasm\"\n\
             permissions = {{ publish = [\"order.*\"], subscribe = [\"order.*\"] }}\nevents = {{ tries = 1 }}\n\
             [[routes]]\npath = \"/{{*rest}}\"\nservice = \"a\"\npublic = true\n",
            redis.url()
        ),
    );
    let published = until("it is published", || {
        let answer = host.json("POST", "/publish", &json!({"topic": "order.created", "body": {"do": "ok"}}));
        Some(answer).filter(|answer| answer.status == 200)
    });
    assert_eq!(published.status, 200);
    until("it is counted", || {
        let page = page(&host);
        let published = page.value("archipel_events_published_total{service=\"a\"}")?;
        let settled = page_sum(&host, "archipel_events_delivered_total", "service=\"a\"");
        let lag = page.value("archipel_events_lag{topic=\"order.created\",service=\"a\"}")?;
        (published >= 1.0 && settled >= 1.0 && lag == 0.0).then_some(())
    });
    assert_eq!(host.json("POST", "/publish", &json!({"topic": "canary.denied", "body": {}})).status, 409);
    becomes(&host, "archipel_permission_denials_total{service=\"a\",permission=\"publish\"}", 1.0);
    redis.freeze(true);
    let began = std::time::Instant::now();
    let (pause, scrapes) = paused(|| (0..5).map(|_| page(&host)).collect::<Vec<_>>());
    let each = began.elapsed() / 5;
    redis.freeze(false);
    assert!(each < pause + Duration::from_secs(1), "{each:?} for one scrape");
    assert!(scrapes.iter().all(|page| page.value("archipel_redis_up{redis=\"main\"}").is_some()));
}
