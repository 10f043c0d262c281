//! A receiver of another make, rotel, between a host and our own collector: what it hands on is what it has understood.

use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use super::{PARENT, TRACE, one, said, told};
use crate::harness::{Collector, Host, LogLine, free, place, probe, until};

/// Ended with the test.
struct Rotel {
    child: Child,
    http: SocketAddr,
    grpc: SocketAddr,
    _folder: tempfile::TempDir,
}

/// Where `scripts/setup.sh receiver` puts it, whatever Python's version.
fn program() -> PathBuf {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/receiver/lib");
    let versions = std::fs::read_dir(&library).into_iter().flatten().flatten();
    let mut programs = versions.map(|version| version.path().join("site-packages/rotel/rotel-agent"));
    programs.find(|program| program.exists()).expect("rotel is there: `scripts/setup.sh receiver`")
}

impl Rotel {
    fn handing_on_to(collector: &Collector) -> Self {
        let (folder, http, grpc) = (tempfile::tempdir().unwrap(), free(), free());
        let mut command = Command::new(program());
        command.args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "http", "--batch-timeout", "50ms"]);
        command.arg("--otlp-exporter-endpoint").arg(format!("http://{}", collector.address));
        command.arg("--otlp-http-endpoint").arg(http.to_string());
        command.arg("--otlp-grpc-endpoint").arg(grpc.to_string());
        command.arg("--pid-file").arg(folder.path().join("pid"));
        command.arg("--log-file").arg(folder.path().join("log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("rotel starts");
        let rotel = Self { child, http, grpc, _folder: folder };
        for address in [http, grpc] {
            until("it listens", || TcpStream::connect(address).is_ok());
        }
        rotel
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_receiver_of_another_make_understands_spans_lines_and_metrics_by_every_protocol() {
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        let collector = Collector::start();
        let rotel = Rotel::handing_on_to(&collector);
        let address = if protocol == "grpc" { rotel.grpc } else { rotel.http };
        let telemetry = format!("[telemetry]\notlp = \"http://{address}\"\nprotocol = \"{protocol}\"\n");
        let manifest = format!("{}{telemetry}logs = true\nmetrics = true\n", probe(""));
        let environment = [("OTEL_METRIC_EXPORT_INTERVAL", "300")];
        let host = Host::start_with(place(), &manifest, &environment).ok().expect("started");
        let headers = [("traceparent", PARENT), ("tracestate", "a=1,b=2")];
        assert_eq!(host.send("GET", "/trap", &headers, b"").status, 502);
        let spans = collector.trace(TRACE, |spans| told(spans, &["gateway", "probe"]));
        let (gateway, run) = (one(&spans, "gateway", "GET /{*rest}"), one(&spans, "probe", "GET /{*rest}"));
        assert_eq!((gateway.kind, &*gateway.parent, &*gateway.tracestate), (2, "b7ad6b7169203331", "a=1,b=2"));
        assert_eq!((run.kind, &run.parent, run.is_error), (2, &gateway.id, true));
        said(gateway, &[("http.response.status_code", "502"), ("url.path", "/trap"), ("error.type", "502")]);
        said(run, &[("error.type", "trap"), ("code.file.path", "probe/src/crash.rs")]);
        assert!(gateway.began <= run.began && run.began <= run.ended && run.ended <= gateway.ended, "{spans:#?}");
        assert_eq!(run.resource["service.namespace"], "test");
        let (name, exception) = &run.events[0];
        assert_eq!((&**name, &*exception["exception.type"]), ("exception", "trap"));
        let is_of_it = |line: &LogLine| line.message == "request" && line.trace_id == TRACE;
        let line = until("its line", || collector.lines().into_iter().find(is_of_it));
        assert_eq!((&*line.service, &*line.attributes["status"], line.severity), ("probe", "502", 9));
        let open = until("metrics", || collector.metric("process_open_fds"));
        assert!(matches!(open.data, Data::Gauge(_)), "{open:?}");
        // This receiver leaves histograms out that come in JSON.
        if protocol != "http/json" {
            let duration = until("a histogram", || collector.metric("archipel_http_request_duration_seconds"));
            assert!(matches!(duration.data, Data::Histogram(histogram) if histogram.aggregation_temporality == 2));
        }
    }
}
