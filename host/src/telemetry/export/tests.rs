//! What the manifest says, what the environment says, and which goes first.

use super::*;

fn manifest(telemetry: &str) -> Manifest {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("m.toml");
    let services = "[services.a]\ncomponent = 'a.wasm'\n[[routes]]\npath = '/'\npublic = true\nservice = 'a'\n";
    std::fs::write(&file, format!("name = 'shop'\n{telemetry}\n{services}")).expect("written");
    Manifest::load(&file, &Environment::new()).expect("no mistakes").manifest
}

fn of(telemetry: &str, variables: &[(&str, &str)]) -> (Export, Vec<String>) {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Export::of(&manifest(telemetry), &environment, "1")
}

fn endpoint(telemetry: &str, variables: &[(&str, &str)]) -> Option<(String, Protocol)> {
    of(telemetry, variables).0.spans.map(|collector| (collector.endpoint, collector.protocol))
}

#[test]
fn the_manifest_goes_before_the_environment_and_that_before_the_defaults() {
    let http = |address: &str| Some((address.to_owned(), Protocol::HttpProtobuf));
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1/otlp/");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1/here");
    assert_eq!(endpoint("", &[]), http("http://localhost:4318/v1/traces"));
    assert_eq!(endpoint("", &[all]), http("http://all:1/otlp/v1/traces"));
    assert_eq!(endpoint("", &[all, traces]), http("http://traces:1/here"));
    assert_eq!(endpoint("[telemetry]\notlp = 'http://own:1'", &[all]), http("http://own:1/v1/traces"));
    assert_eq!(endpoint("[telemetry]\notlp = false", &[all]), None);
    assert_eq!(endpoint("", &[("OTEL_SDK_DISABLED", "true")]), None);
    assert_eq!(endpoint("", &[("OTEL_TRACES_EXPORTER", "none")]), None);
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert_eq!(endpoint("", &[grpc]), Some(("http://localhost:4317".to_owned(), Protocol::Grpc)));
    let json = endpoint("[telemetry]\nprotocol = 'http/json'", &[grpc]).map(|(_, protocol)| protocol);
    assert_eq!(json, Some(Protocol::HttpJson));
}

#[test]
fn logs_and_metrics_are_sent_by_choice_each_to_its_own_place() {
    let ends = |telemetry: &str, variables: &[(&str, &str)]| {
        let (export, wrong) = of(telemetry, variables);
        assert_eq!(wrong, Vec::<String>::new());
        [export.spans, export.logs, export.metrics].map(|of| of.map(|of| of.endpoint))
    };
    let at = |place: &str| Some(format!("http://localhost:4318/v1/{place}"));
    assert_eq!(ends("", &[]), [at("traces"), None, None]);
    assert_eq!(ends("[telemetry]\nlogs = true", &[]), [at("traces"), at("logs"), None]);
    let both = [("OTEL_LOGS_EXPORTER", "otlp"), ("OTEL_METRICS_EXPORTER", "console, otlp")];
    assert_eq!(ends("", &both), [at("traces"), at("logs"), at("metrics")]);
    assert_eq!(ends("[telemetry]\nlogs = false\nmetrics = true", &both), [at("traces"), None, at("metrics")]);
    assert_eq!(ends("[telemetry]\notlp = false\nlogs = true\nmetrics = true", &both), [None, None, None]);
    let own = [
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:1/here"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"),
    ];
    let wanted = [None, Some("http://logs:1/here".to_owned()), Some("http://all:1/v1/metrics".to_owned())];
    assert_eq!(ends("[telemetry]\nlogs = true\nmetrics = true", &own), wanted);
    assert_eq!(ends("[telemetry]\nlogs = true", &[("OTEL_SDK_DISABLED", "true")]), [None, None, None]);
}

#[test]
fn metrics_have_an_interval_and_a_collector_may_have_authorities_of_its_own() {
    let interval = |value: &str| of("", &[("OTEL_METRIC_EXPORT_INTERVAL", value)]);
    assert_eq!((interval("500").0.interval, of("", &[]).0.interval), (Duration::from_millis(500), INTERVAL));
    assert_eq!((interval("0").0.interval, interval("0").1.len()), (INTERVAL, 1));
    let all = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem");
    let logs = ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/logs.pem");
    let (export, _) = of("[telemetry]\nlogs = true", &[all, logs]);
    let ca = |of: Option<otlp::Settings>| of.and_then(|of| of.ca);
    assert_eq!((ca(export.spans), ca(export.logs)), (Some("/all.pem".into()), Some("/logs.pem".into())));
}

#[test]
fn samplers_of_the_environment_hold_until_the_manifest_says_a_share() {
    let sampling = |telemetry: &str, variables: &[(&str, &str)]| of(telemetry, variables).0.recording.sampling;
    let ratio = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
    assert_eq!(sampling("", &[]), Sampling { ratio: 1.0, by_parent: true });
    assert_eq!(sampling("", &[("OTEL_TRACES_SAMPLER", "always_off")]), Sampling { ratio: 0.0, by_parent: false });
    let parent = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
    assert_eq!(sampling("", &[parent, ratio]), Sampling { ratio: 0.25, by_parent: true });
    assert_eq!(sampling("[telemetry]\nsample = '2%'", &[parent, ratio]), Sampling { ratio: 0.02, by_parent: true });
}

#[test]
fn headers_and_attributes_are_decoded_and_the_manifests_go_first() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b,X-Own=theirs"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,service.name=no,service.namespace=n"),
    ];
    let (export, wrong) = of("[telemetry]\nheaders = { x-own = 'ours' }", &variables);
    let collector = export.spans.expect("a collector");
    assert_eq!(collector.headers, [("x-key".into(), "a b".into()), ("x-own".into(), "ours".into())]);
    let attribute = |name: &str| collector.resource.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
    assert_eq!(attribute("deployment.environment.name"), Some("prod"));
    assert_eq!((attribute("service.name"), attribute("service.namespace")), (None, Some("n")));
    assert_eq!(wrong, Vec::<String>::new());
    assert!(!format!("{collector:?}").contains("ours"), "a header may be a secret");
}

#[test]
fn what_cannot_be_read_is_told_without_its_value_and_passed_over() {
    let (export, wrong) = of(
        "",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_TRACES_SAMPLER", "xray"),
        ],
    );
    let collector = export.spans.expect("the default");
    assert_eq!((&*collector.endpoint, collector.timeout), ("http://localhost:4318/v1/traces", TIMEOUT));
    assert_eq!(wrong.len(), 5, "{wrong:?}");
    assert!(wrong.iter().all(|line| !line.contains("secret") && line.ends_with("it is passed over")), "{wrong:?}");
}
