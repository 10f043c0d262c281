//! The exporter of `opentelemetry-otlp` for one collector.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_otlp::{
    RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
    tonic_types::{metadata::MetadataMap, transport::ClientTlsConfig},
};

use crate::{
    Protocol, Settings,
    transport::{Last, Transport},
};

/// Why there can be no exporter for some settings.
#[derive(Debug)]
pub struct InvalidSettings(String);

impl std::fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidSettings {}

/// The sender tries again itself, with what it knows of the queue.
fn once() -> RetryPolicy {
    RetryPolicy::default().with_max_retries(0)
}

pub(crate) fn exporter(settings: &Settings, last: Arc<Last>) -> Result<SpanExporter, InvalidSettings> {
    let invalid = |error: &dyn std::fmt::Display| InvalidSettings(error.to_string());
    let built = match settings.protocol {
        Protocol::Grpc => {
            let mut builder = SpanExporter::builder()
                .with_tonic()
                .with_endpoint(&settings.endpoint)
                .with_timeout(settings.timeout)
                .with_retry_policy(once())
                .with_metadata(MetadataMap::from_headers(headers(settings)?));
            if settings.endpoint.starts_with("https://") {
                builder = builder.with_tls_config(ClientTlsConfig::new().with_webpki_roots());
            }
            builder.build()
        }
        protocol => {
            let wire = match protocol {
                Protocol::HttpJson => opentelemetry_otlp::Protocol::HttpJson,
                _ => opentelemetry_otlp::Protocol::HttpBinary,
            };
            let transport = Transport::new(settings.timeout, last).map_err(|error| invalid(&error))?;
            headers(settings)?;
            SpanExporter::builder()
                .with_http()
                .with_protocol(wire)
                .with_endpoint(&settings.endpoint)
                .with_timeout(settings.timeout)
                .with_retry_policy(once())
                .with_http_client(transport)
                .with_headers(settings.headers.iter().cloned().collect::<HashMap<_, _>>())
                .build()
        }
    };
    built.map_err(|error| invalid(&error))
}

fn headers(settings: &Settings) -> Result<HeaderMap, InvalidSettings> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let parsed = HeaderName::from_str(name).ok().zip(HeaderValue::from_str(value).ok());
        let (key, value) = parsed.ok_or_else(|| InvalidSettings(format!("`{name}` is no valid header")))?;
        headers.append(key, value);
    }
    Ok(headers)
}
