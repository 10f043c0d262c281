//! What only some want: log lines and metrics at a collector, and a collector with an authority of its own.

use std::sync::Arc;

use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value as Number};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls;

use super::{PARENT, TRACE, export::metric};
use crate::harness::{Collector, Host, LogLine, place, probe, until};

/// The line of this message and path, once it is there.
#[track_caller]
fn line(collector: &Collector, message: &str, path: &str) -> LogLine {
    let is_it = |line: &LogLine| line.message == message && line.attributes.get("path").is_none_or(|is| is == path);
    until("the line", || collector.lines().into_iter().find(is_it))
}

/// The manifest as it was started with.
fn written(host: &Host) -> String {
    std::fs::read_to_string(host.folder.path().join("manifest.toml")).unwrap()
}

#[test]
fn the_log_is_at_the_collector_too_each_service_for_itself_and_within_its_trace() {
    for protocol in ["http/protobuf", "http/json"] {
        let collector = Collector::start();
        let telemetry = collector.telemetry(&format!("logs = true\nprotocol = \"{protocol}\""));
        let host = Host::running(&format!("{}{telemetry}", probe("")));
        assert_eq!(host.send("GET", "/trap", &[("traceparent", PARENT)], b"").status, 502);
        let access = line(&collector, "request", "/trap");
        assert_eq!((&*access.service, &*access.trace_id, access.severity), ("probe", TRACE, 9));
        assert_eq!((access.attributes["status"].as_str(), access.attributes["method"].as_str()), ("502", "GET"));
        assert_eq!(access.span_id.len(), 16);
        assert_eq!(access.resource["service.namespace"], "test");
        // What the log says, it says to both.
        host.log.expect_line(&access.span_id);
        let own = line(&collector, "starting", "");
        assert_ne!(own.service, "probe");
        assert!(!own.resource["service.version"].is_empty());
        host.get("/");
        until("counted", || metric(&host, "archipel_otlp_log_lines_sent_total") > 0);
        assert_eq!(metric(&host, "archipel_otlp_log_lines_dropped_total"), 0);
        assert_eq!(collector.connections(), 1, "spans and lines share it");
        drop(host.stop()); // the last lines are sent
        line(&collector, "request", "/");
    }
}

#[test]
fn without_a_word_neither_lines_nor_metrics_are_sent_and_a_manifest_turns_them_on() {
    let collector = Collector::start();
    let quiet = format!("{}{}", probe(""), collector.telemetry(""));
    let environment = [("OTEL_METRIC_EXPORT_INTERVAL", "200")];
    let host = Host::start_with(place(), &quiet, &environment).ok().expect("started");
    host.get("/before");
    until("its spans", || collector.spans().len() == 2);
    assert!(collector.lines().is_empty() && collector.metric("archipel_connections").is_none());
    let loud = written(&host).replace("[telemetry]\n", "[telemetry]\nlogs = true\nmetrics = true\n");
    assert_eq!(host.apply(&loud).status, 200);
    host.get("/after");
    line(&collector, "request", "/after");
    until("metrics", || collector.metric("archipel_connections"));
    assert!(collector.lines().iter().all(|line| line.attributes.get("path").is_none_or(|path| path != "/before")));
}

#[test]
fn metrics_are_those_that_are_shown_and_count_from_the_start() {
    let collector = Collector::start();
    let manifest = format!("{}{}", probe(""), collector.telemetry("metrics = true"));
    let environment = [("OTEL_METRIC_EXPORT_INTERVAL", "200"), ("OTEL_SERVICE_NAME", "front")];
    let host = Host::start_with(place(), &manifest, &environment).ok().expect("started");
    (0..3).for_each(|_| assert_eq!(host.get("/").status, 200));
    let requests = || {
        let Data::Sum(sum) = collector.metric("archipel_http_requests")?.data else { panic!("a sum") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "{sum:?}");
        let count = |value: &Option<Number>| match value {
            Some(Number::AsInt(count)) => *count,
            other => panic!("a whole number, not {other:?}"),
        };
        Some(sum.data_points.iter().map(|point| count(&point.value)).sum::<i64>()).filter(|sum| *sum == 3)
    };
    until("three requests", requests);
    // Each is kept by itself: what is sent together is there one after the other.
    let of_route = until("their durations", || {
        let duration = collector.metric("archipel_http_request_duration_seconds")?;
        assert_eq!((&*duration.service, &*duration.unit), ("front", "s"));
        let Data::Histogram(histogram) = duration.data else { panic!("a histogram") };
        histogram.data_points.into_iter().find(|point| point.count == 3)
    });
    assert_eq!(of_route.bucket_counts.len(), of_route.explicit_bounds.len() + 1);
    assert_eq!(of_route.bucket_counts.iter().sum::<u64>(), 3);
    let Data::Gauge(_) = until("a gauge", || collector.metric("process_open_fds")).data else { panic!("a gauge") };
    until("counted", || metric(&host, "archipel_otlp_metrics_sent_total") > 0);
    // What happened last is sent before the end.
    host.get("/");
    drop(host.stop());
    let Data::Sum(sum) = collector.metric("archipel_http_requests").expect("again").data else { panic!("a sum") };
    let all: i64 = sum
        .data_points
        .iter()
        .filter_map(|point| match point.value {
            Some(Number::AsInt(count)) => Some(count),
            _ => None,
        })
        .sum();
    assert_eq!(all, 4);
}

#[test]
fn a_collector_that_takes_no_lines_costs_lines_that_are_counted() {
    let collector = Collector::start();
    collector.answer(400);
    let host = Host::running(&format!("{}{}", probe(""), collector.telemetry("logs = true\nmetrics = true")));
    host.get("/");
    host.log.expect_line("the collector takes no log lines");
    until("dropped", || metric(&host, "archipel_otlp_log_lines_dropped_total") > 0);
    collector.answer(200);
    host.get("/again");
    line(&collector, "request", "/again");
    host.log.expect_line("the collector takes log lines again");
}

#[test]
fn a_collector_with_a_private_authority_is_believed_by_its_file_and_no_other() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.signing_key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
    let collector = Collector::secured(config);
    let telemetry = |file: &str| {
        let at = format!("https://localhost:{}", collector.address.port());
        format!("{}[telemetry]\notlp = \"{at}\"\n{file}", probe(""))
    };
    let folder = place();
    std::fs::write(folder.path().join("own.pem"), own.cert.pem()).unwrap();
    std::fs::write(folder.path().join("other.pem"), other.cert.pem()).unwrap();
    let host = Host::start_with(folder, &telemetry("ca = \"other.pem\"\n"), &[]).ok().expect("started");
    host.get("/");
    host.log.expect_line("invalid peer certificate");
    host.log.expect_line("the collector takes no spans");
    let other = written(&host);
    let without = other.replace("ca = \"other.pem\"\n", "");
    assert_eq!(host.apply(&without).status, 200, "the web's authorities know it not either");
    host.get("/");
    assert!(collector.spans().is_empty());
    assert_eq!(host.apply(&other.replace("other.pem", "own.pem")).status, 200);
    host.get("/believed");
    until("it is believed", || collector.spans().iter().any(|span| span.name == "GET /{*rest}"));
    // The environment says it, too, where the manifest does not.
    let file = host.folder.path().join("own.pem").display().to_string();
    let environment = [("OTEL_EXPORTER_OTLP_CERTIFICATE", &*file)];
    let before = collector.spans().len();
    let second = Host::start_with(place(), &telemetry(""), &environment).ok().expect("started");
    second.get("/");
    until("by the environment", || collector.spans().len() > before);
}
