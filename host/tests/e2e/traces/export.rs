//! How spans travel: the three ways of the protocol, and collectors that are away, slow or busy.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use crate::harness::{Collector, Host, free, place, probe, until};

pub(super) fn metric(host: &Host, name: &str) -> u64 {
    let text = crate::harness::exchange(host.admin, "GET", "/metrics", &[], b"").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
fn spans_go_over_one_connection_with_the_headers_that_were_asked_for_in_either_encoding() {
    for (protocol, content) in [("http/protobuf", "application/x-protobuf"), ("http/json", "application/json")] {
        let collector = Collector::start();
        let lines = format!("protocol = \"{protocol}\"\nheaders = {{ x-key = {{ env = \"COLLECTOR_KEY\" }} }}");
        let manifest = format!("{}{}", probe(""), collector.telemetry(&lines));
        let host = Host::start_with(place(), &manifest, &[("COLLECTOR_KEY", "canary-of-a-key")]).ok().expect("started");
        (0..3).for_each(|_| assert_eq!(host.get("/").status, 200));
        until("spans of both", || collector.spans().iter().filter(|span| span.name == "GET /{*rest}").count() == 6);
        let heads = collector.heads();
        assert!(heads.iter().all(|head| head.starts_with("post /v1/traces ")), "{heads:?}");
        assert!(heads.iter().all(|head| head.contains("x-key: canary-of-a-key")), "{heads:?}");
        assert!(heads.iter().all(|head| head.contains(&format!("content-type: {content}"))), "{heads:?}");
        assert_eq!(collector.connections(), 1, "for the gateway and its service");
        until("counted", || metric(&host, "archipel_spans_sent_total") == 6);
        assert!(!host.log.text().contains("canary-of-a-key"));
    }
}

#[test]
fn the_environment_names_the_collector_where_the_manifest_does_not() {
    let collector = Collector::start();
    let url = format!("http://{}", collector.address);
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_SERVICE_NAME", "front"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let host = Host::start_with(place(), &probe(""), &environment).ok().expect("started");
    host.get("/");
    drop(host.stop());
    let spans = collector.spans();
    let names: std::collections::BTreeSet<_> = spans.iter().map(|span| &*span.service).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["front", "probe"]);
    assert!(spans.iter().all(|span| span.resource["deployment.environment.name"] == "test"), "{spans:#?}");
}

#[test]
fn a_collector_that_is_away_costs_spans_and_is_found_again_by_itself() {
    let address = free();
    let host = Host::running(&format!("{}[telemetry]\notlp = \"http://{address}\"\n", probe("")));
    // More than may wait.
    let began = Instant::now();
    (0..1500).for_each(|_| assert_eq!(host.get("/").status, 200));
    let before = began.elapsed();
    until("some found no room", || metric(&host, "archipel_spans_dropped_total") > 0);
    assert!(metric(&host, "archipel_spans_queued") <= 2048);
    host.log.expect_line("the collector takes no spans");
    let collector = Collector::at(address);
    host.log.expect_line("the collector takes spans again");
    until("what waited has arrived", || collector.spans().len() >= 2048);
    let told = host.log.text().matches("the collector takes no spans").count();
    assert_eq!(told, 1, "said once");
    println!("1500 requests without a collector took {before:?}");
}

#[test]
fn a_collector_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    for (status, arrives) in [(503, true), (429, true), (400, false)] {
        let collector = Collector::start();
        collector.answer(status);
        let host = Host::running(&format!("{}{}", probe(""), collector.telemetry("")));
        host.get("/");
        host.log.expect_line("the collector takes no spans");
        if !arrives {
            until("dropped", || metric(&host, "archipel_spans_dropped_total") == 2);
        }
        collector.answer(200);
        match arrives {
            true => until("sent again", || collector.spans().len() == 2),
            false => {
                host.get("/again");
                until("the next ones", || collector.spans().len() == 2);
                assert!(
                    collector
                        .spans()
                        .iter()
                        .all(|span| span.attributes.get("url.path").is_none_or(|path| path == "/again"))
                );
            }
        }
    }
}

#[test]
fn an_applied_manifest_sends_elsewhere_or_nowhere() {
    let (first, second) = (Collector::start(), Collector::start());
    let host = Host::running(&format!("{}{}", probe(""), first.telemetry("")));
    host.get("/");
    until("the first has it", || first.spans().len() == 2);
    let manifest = std::fs::read_to_string(host.folder.path().join("manifest.toml")).unwrap();
    let moved = manifest.replace(&first.address.to_string(), &second.address.to_string());
    assert_eq!(host.apply(&moved).status, 200);
    host.get("/");
    until("the second has it", || second.spans().len() == 2);
    let off = moved.replace(&format!("otlp = \"http://{}\"", second.address), "otlp = false");
    assert_eq!(host.apply(&off).status, 200);
    host.get("/");
    drop(host.stop());
    assert_eq!((first.spans().len(), second.spans().len()), (2, 2));
}

#[test]
fn what_waits_is_sent_before_the_host_ends_and_a_silent_collector_does_not_hold_it() {
    let collector = Collector::start();
    let host = Host::running(&format!("{}{}", probe(""), collector.telemetry("")));
    host.get("/");
    drop(host.stop());
    assert_eq!(collector.spans().len(), 2);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let host = Host::running(&format!("{}[telemetry]\notlp = \"http://{address}\"\n", probe("")));
    host.get("/");
    let began = Instant::now();
    drop(host.stop());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
