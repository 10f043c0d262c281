//! What we ship for Prometheus, judged by Prometheus: it reads our metrics, and every alert fires.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::harness::{Collector, Host, exchange, free, probe, until};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/observability")
}

fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap()
}

/// The words after `before` at the starts of lines.
fn named(text: &str, before: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.trim().strip_prefix(before)).map(str::to_owned).collect()
}

#[test]
fn every_alert_fires_in_a_test_and_has_its_part_of_the_runbook() {
    let alerts = named(&read("alerts.yml"), "- alert: ");
    assert!(alerts.len() > 10);
    assert_eq!(alerts, named(&read("alerts_test.yml"), "alertname: "));
    let page = fs::read_to_string(folder().join("../../docs/observability.md")).unwrap();
    assert_eq!(alerts, named(&page, "### ").intersection(&alerts).cloned().collect());
    for alert in &alerts {
        let link = format!("docs/observability.md#{}", alert.to_lowercase());
        assert!(read("alerts.yml").contains(&link), "{link}");
    }
    let done = Command::new("promtool").args(["test", "rules", "alerts_test.yml"]).current_dir(folder()).output();
    let done = done.expect("promtool is there: `scripts/setup.sh prometheus`");
    let told = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(done.status.success(), "{told}");
    let checked = Command::new("promtool").args(["check", "config", "prometheus.yml"]).current_dir(folder()).output();
    assert!(checked.unwrap().status.success());
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let page = fs::read_to_string(folder().join("../../docs/metrics.md")).unwrap();
    let known: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let texts = [read("alerts.yml"), read("grafana/dashboards/archipel.json")];
    let words = texts.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let asked: BTreeSet<&str> =
        words.filter(|word| word.starts_with("archipel_") || word.starts_with("process_")).collect();
    assert!(asked.len() > 20, "{asked:?}");
    for metric in asked {
        let of_histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| metric.strip_suffix(end));
        let is_known =
            |name: &str| known.iter().any(|known| *known == name || known.strip_suffix("_info") == Some(name));
        assert!(is_known(metric) || of_histogram.is_some_and(is_known), "{metric} is none of docs/metrics.md");
    }
    let dashboard: Value = serde_json::from_str(&texts[1]).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 20);
}

/// A Prometheus of the test's own; ended with it.
struct Prometheus {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn asking(host: &Host) -> Self {
        let place = tempfile::tempdir().unwrap();
        let target = format!(
            "scrape_configs:\n  - job_name: archipel\n    static_configs: [{{ targets: [\"{}\"] }}]\n",
            host.admin
        );
        fs::write(place.path().join("p.yml"), format!("global: {{ scrape_interval: 1s }}\n{target}")).unwrap();
        let port = free().port();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", place.path().join("p.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", place.path().join("data").display()));
        command.arg("--enable-feature=exemplar-storage");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("prometheus is there: `scripts/setup.sh prometheus`");
        Self { child, port, _folder: place }
    }

    fn asked(&self, path: &str) -> Option<Value> {
        let socket = std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let answer = exchange(socket.peer_addr().ok()?, "GET", path, &[], b"");
        (answer.status == 200).then(|| answer.json())
    }

    /// The trace of the first request that it was told of for this metric.
    fn exemplar(&self, metric: &str) -> Option<String> {
        let path = format!("/api/v1/query_exemplars?query={metric}&start=1600000000&end=9999999999");
        let found = self.asked(&path)?;
        Some(found["data"][0]["exemplars"][0]["labels"]["trace_id"].as_str()?.to_owned())
    }

    /// The value of the first sample, once there is one.
    fn value(&self, query: &str) -> Option<String> {
        let samples = self.asked(&format!("/api/v1/query?query={query}"))?;
        Some(samples["data"]["result"][0]["value"][1].as_str()?.to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `promtool check metrics` finds in an exposition.
fn checked(exposition: &[u8]) -> String {
    let mut command = Command::new("promtool");
    let command = command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("promtool is there");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(exposition).expect("it reads");
    drop(input);
    let done = child.wait_with_output().expect("it ends");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if done.status.success() { said } else { format!("{}: {said}", done.status) }
}

#[test]
fn prometheus_reads_every_metric_of_a_host() {
    let collector = Collector::start();
    let host = Host::running(&format!("{}{}", probe(""), collector.telemetry("sample = \"0%\"")));
    (0..3).for_each(|_| assert_eq!(host.get("/").status, 200));
    let prometheus = Prometheus::asking(&host);
    until("a scrape", || prometheus.value("up%7Bjob=%22archipel%22%7D").filter(|up| up == "1"));
    until("the requests", || prometheus.value("sum(archipel_http_requests_total)").filter(|sum| sum == "3"));
    until("a histogram", || {
        prometheus.value("sum(archipel_http_request_duration_seconds_count)").filter(|sum| sum == "3")
    });
    assert_eq!(checked(&exchange(host.admin, "GET", "/metrics", &[], b"").body), "", "promtool has nothing to say");
    // From a bucket to a trace that the collector has; those that are not kept are none.
    let trace = "0af7651916cd43dd8448eb211c80319c";
    host.send("GET", "/", &[("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"))], b"");
    let metric = "archipel_http_request_duration_seconds_bucket";
    until("a request for a bucket", || prometheus.exemplar(metric).filter(|found| found == trace));
}
