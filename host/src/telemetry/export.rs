//! Where spans, log lines and metrics go, and which spans are kept: the manifest's word, then the standard variables of
//! the environment, then the defaults.
//!
//! The variables are those of OpenTelemetry's specification, the one for a signal before the one for all. A
//! value that cannot be read is told and passed over, as the specification has it: such variables are set
//! for many programs at once.

use std::{sync::Arc, time::Duration};

use manifest::{Collector, Environment, Manifest, OtlpProtocol};
use otlp::Protocol;
use span::{Sampling, Source};

/// Where a collector listens, by protocol.
const HTTP: &str = "http://localhost:4318";
const GRPC: &str = "http://localhost:4317";
/// What one attempt to send may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The gateway's own name in traces.
const GATEWAY: &str = "gateway";

/// How often metrics are sent, if nobody says otherwise.
const INTERVAL: Duration = Duration::from_secs(60);

/// What is made of a manifest and the environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    pub recording: span::Settings,
    /// Where spans go; none: they are not sent. The same for the others.
    pub spans: Option<otlp::Settings>,
    pub logs: Option<otlp::Settings>,
    pub metrics: Option<otlp::Settings>,
    /// Between two times that metrics are sent.
    pub interval: Duration,
}

/// What is sent: its word in variables, and the end of its address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    fn word(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Logs => "LOGS",
            Self::Metrics => "METRICS",
        }
    }

    /// The address that its requests go to.
    fn at(self, address: &str, protocol: Protocol) -> String {
        match protocol {
            Protocol::Grpc => address.to_owned(),
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                format!("{}/v1/{}", address.trim_end_matches('/'), self.word().to_ascii_lowercase())
            }
        }
    }
}

/// The environment's word, and what of it cannot be read.
struct Variables<'a> {
    environment: &'a Environment,
    wrong: Vec<String>,
}

/// Who tells what is no component's.
pub fn own(environment: &Environment) -> Arc<Source> {
    let named = environment.get("OTEL_SERVICE_NAME").filter(|name| !name.is_empty());
    Source::new(named.map_or(GATEWAY, String::as_str), env!("CARGO_PKG_VERSION"))
}

impl Export {
    /// `instance` names this host among those of its manifest. With it comes what was passed over.
    pub fn of(manifest: &Manifest, environment: &Environment, instance: &str) -> (Self, Vec<String>) {
        let mut variables = Variables { environment, wrong: Vec::new() };
        let telemetry = &manifest.telemetry;
        let sampling = match telemetry.sample {
            Some(percent) => Sampling { ratio: percent as f64 / 100.0, by_parent: true },
            None => variables.sampling(),
        };
        let mut settings = |signal, written: Option<bool>, default| {
            let is_on = written.unwrap_or_else(|| variables.is_on(signal, default));
            (is_on && !variables.is_disabled()).then(|| collector(signal, manifest, &mut variables, instance)).flatten()
        };
        let spans = settings(Signal::Traces, None, true);
        let logs = settings(Signal::Logs, telemetry.logs, false);
        let metrics = settings(Signal::Metrics, telemetry.metrics, false);
        let recording = span::Settings { sends: spans.is_some(), sampling, slow: telemetry.slow };
        let interval = variables.interval();
        // One variable may be read for several.
        variables.wrong.sort();
        variables.wrong.dedup();
        (Self { recording, spans, logs, metrics, interval }, variables.wrong)
    }
}

fn collector(
    signal: Signal,
    manifest: &Manifest,
    variables: &mut Variables<'_>,
    instance: &str,
) -> Option<otlp::Settings> {
    let telemetry = &manifest.telemetry;
    let protocol = match telemetry.protocol {
        Some(OtlpProtocol::HttpProtobuf) => Protocol::HttpProtobuf,
        Some(OtlpProtocol::HttpJson) => Protocol::HttpJson,
        Some(OtlpProtocol::Grpc) => Protocol::Grpc,
        None => variables.protocol(signal),
    };
    let written = match &telemetry.otlp {
        Some(Collector::Off) => return None,
        Some(Collector::Address(address)) => Some(signal.at(address, protocol)),
        None => variables.endpoint(signal, protocol),
    };
    let is_default = written.is_none();
    let default = if protocol == Protocol::Grpc { GRPC } else { HTTP };
    let endpoint = written.unwrap_or_else(|| signal.at(default, protocol));
    let mut headers = variables.headers(signal);
    for (name, value) in &telemetry.headers {
        headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name.as_str()));
        headers.push((name.to_string(), value.reveal().to_owned()));
    }
    let ca = telemetry.ca.clone().or_else(|| Some(variables.exporter(signal, "CERTIFICATE")?.1.into()));
    let timeout = variables.timeout(signal);
    let resource = resource(manifest, variables, instance);
    Some(otlp::Settings { endpoint, protocol, headers, ca, timeout, is_default, resource })
}

/// What the gateway and all components have in common.
fn resource(manifest: &Manifest, variables: &mut Variables<'_>, instance: &str) -> Vec<(String, String)> {
    let mut all = vec![
        ("service.namespace".to_owned(), manifest.name.clone()),
        ("service.instance.id".to_owned(), instance.to_owned()),
        ("telemetry.sdk.name".to_owned(), "opentelemetry".to_owned()),
        ("telemetry.sdk.language".to_owned(), "rust".to_owned()),
    ];
    for (key, value) in variables.pairs("OTEL_RESOURCE_ATTRIBUTES") {
        // Each component has its own.
        if !matches!(&*key, "service.name" | "service.version") {
            all.retain(|(other, _)| *other != key);
            all.push((key, value));
        }
    }
    all
}

impl Variables<'_> {
    /// An empty variable is as if it were not set.
    fn get(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The one for a signal before the one for all.
    fn exporter(&self, signal: Signal, what: &str) -> Option<(String, &str)> {
        let names = [format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.word()), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.into_iter().find_map(|name| Some((name.clone(), self.get(&name)?)))
    }

    fn is_disabled(&self) -> bool {
        self.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Whether a signal is sent. The variable may name several ways: this host has one.
    fn is_on(&mut self, signal: Signal, default: bool) -> bool {
        let name = format!("OTEL_{}_EXPORTER", signal.word());
        let Some(value) = self.get(&name) else { return default };
        let mut exporters = value.split(',').map(str::trim);
        match value {
            "none" => false,
            _ if exporters.any(|exporter| exporter == "otlp") => true,
            _ => {
                self.wrong(&name, "names no exporter that this host has: `otlp` or `none`");
                default
            }
        }
    }

    fn interval(&mut self) -> Duration {
        const NAME: &str = "OTEL_METRIC_EXPORT_INTERVAL";
        match self.get(NAME).map(str::parse) {
            None => INTERVAL,
            Some(Ok(millis)) if (100..=3_600_000).contains(&millis) => Duration::from_millis(millis),
            Some(_) => {
                self.wrong(NAME, "is no number of milliseconds from 100 to 3600000");
                INTERVAL
            }
        }
    }

    fn wrong(&mut self, name: &str, why: &str) {
        self.wrong.push(format!("{name} {why}; it is passed over"));
    }

    fn protocol(&mut self, signal: Signal) -> Protocol {
        let Some((name, value)) = self.exporter(signal, "PROTOCOL") else { return Protocol::default() };
        let named = Protocol::named(value);
        if named.is_none() {
            self.wrong(&name, "is none of `http/protobuf`, `http/json`, `grpc`");
        }
        named.unwrap_or_default()
    }

    fn endpoint(&mut self, signal: Signal, protocol: Protocol) -> Option<String> {
        let (name, value) = self.exporter(signal, "ENDPOINT")?;
        if !value.starts_with("http://") && !value.starts_with("https://") || value.parse::<http::Uri>().is_err() {
            self.wrong(&name, "is no address that begins with `http://` or `https://`");
            return None;
        }
        // The one for a signal is the address itself.
        let is_signals = name != "OTEL_EXPORTER_OTLP_ENDPOINT";
        Some(if is_signals { value.to_owned() } else { signal.at(value, protocol) })
    }

    fn headers(&mut self, signal: Signal) -> Vec<(String, String)> {
        let Some((name, _)) = self.exporter(signal, "HEADERS") else { return Vec::new() };
        self.pairs(&name)
    }

    fn timeout(&mut self, signal: Signal) -> Duration {
        let Some((name, value)) = self.exporter(signal, "TIMEOUT") else { return TIMEOUT };
        match value.parse() {
            Ok(millis) if (1..=60_000).contains(&millis) => Duration::from_millis(millis),
            _ => {
                self.wrong(&name, "is no number of milliseconds from 1 to 60000");
                TIMEOUT
            }
        }
    }

    fn sampling(&mut self) -> Sampling {
        let Some(sampler) = self.get("OTEL_TRACES_SAMPLER") else { return Sampling::default() };
        let (by_parent, kind) = match sampler.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, sampler),
        };
        let ratio = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => return Sampling { ratio: self.ratio(), by_parent },
            _ => {
                self.wrong("OTEL_TRACES_SAMPLER", "is no sampler that this host has");
                return Sampling::default();
            }
        };
        Sampling { ratio, by_parent }
    }

    fn ratio(&mut self) -> f64 {
        const NAME: &str = "OTEL_TRACES_SAMPLER_ARG";
        match self.get(NAME).map(str::parse::<f64>) {
            None => 1.0,
            Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => ratio,
            Some(_) => {
                self.wrong(NAME, "is no share from 0 to 1");
                1.0
            }
        }
    }

    /// `key=value,key=value`, percent-encoded. The values may be secrets: they are not told.
    fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        let text = self.get(name).unwrap_or_default().to_owned();
        let mut pairs = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let pair = part.split_once('=').map(|(key, value)| (decoded(key.trim()), decoded(value.trim())));
            match pair {
                Some((Some(key), Some(value))) if !key.is_empty() => pairs.push((key, value)),
                _ => self.wrong(name, "has a part that is not `key=value`"),
            }
        }
        pairs
    }
}

/// Without percent-encoding; none when it is none.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
