//! `[telemetry]`.

use super::{Check, auth::authority, database::text};
use crate::{
    Collector, OtlpProtocol, Secret, TelemetrySettings, defaults,
    raw::{RawCollector, RawProtocol, RawTelemetry},
};
use document::source::Key;

/// Headers of one collector.
const HEADERS_MAX: usize = 16;

pub(crate) fn telemetry(check: &mut Check<'_>, key: &Key<'_>, raw: RawTelemetry) -> TelemetrySettings {
    let otlp_key = key.child("otlp");
    let otlp = match raw.otlp {
        None => None,
        Some(RawCollector::Switch(false)) => Some(Collector::Off),
        Some(RawCollector::Switch(true)) => {
            let default = defaults::OTLP;
            check.wrong(&otlp_key, format_args!("is true; write the collector's address, like `\"{default}\"`"));
            None
        }
        Some(RawCollector::Address(address)) => check.keep(&otlp_key, collector(&address)),
    };
    let protocol = raw.protocol.map(|protocol| match protocol {
        RawProtocol::HttpProtobuf => OtlpProtocol::HttpProtobuf,
        RawProtocol::HttpJson => OtlpProtocol::HttpJson,
        RawProtocol::Grpc => OtlpProtocol::Grpc,
    });
    let headers_key = key.child("headers");
    if raw.headers.len() > HEADERS_MAX {
        check.wrong(&headers_key, format_args!("are {}; a collector has at most {HEADERS_MAX}", raw.headers.len()));
    }
    let mut headers = Vec::new();
    for (name, value) in raw.headers {
        let key = headers_key.child(&name);
        let parsed = http::HeaderName::try_from(&*name).map_err(|_| format!("`{name}` is no name of a header"));
        let (Some(name), Ok(Some(value))) = (check.keep(&key, parsed), text(check, &key, value)) else { continue };
        if http::HeaderValue::try_from(&*value).is_err() {
            check.wrong(&key, "has characters that no header may have");
        }
        headers.push((name, Secret::new(value)));
    }
    let sample = raw
        .sample
        .map(|sample| check.within(&key.child("sample"), Some(sample), defaults::SAMPLE, &defaults::SAMPLES).get());
    let slow = check.within(&key.child("slow"), raw.slow, defaults::SLOW, &defaults::SLOWNESSES).get();
    let ca = raw.ca.and_then(|path| authority(check, &key.child("ca"), &path));
    TelemetrySettings { otlp, protocol, headers, sample, slow, logs: raw.logs, metrics: raw.metrics, ca }
}

fn collector(address: &str) -> Result<Collector, String> {
    let wrong = |why: &str| Err(format!("`{address}` {why}; write it like `{}`", defaults::OTLP));
    let Ok(uri) = address.parse::<http::Uri>() else { return wrong("is no address") };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return wrong("is neither `http://` nor `https://`");
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(format!(
            "has a password in it; write it as a header: `{}`",
            "headers = { authorization = { env = \"NAME\" } }"
        ));
    }
    if uri.query().is_some() {
        return wrong("has a query");
    }
    Ok(Collector::Address(address.trim_end_matches('/').to_owned()))
}
