//! A log line as a `LogRecord` of `logs.proto`, written at once. The tests read it with the published types.

use std::{borrow::Cow, time::SystemTime};

use span::Value;

use crate::{
    attribute::{attribute, body},
    traces::nanos,
    wire::Wire,
};

/// How bad it is: numbers of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Trace = 1,
    Debug = 5,
    Info = 9,
    Warn = 13,
    Error = 17,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub at: SystemTime,
    pub severity: Severity,
    pub message: String,
    /// The span it was told in, as far as that is known.
    pub trace_id: Option<u128>,
    pub span_id: Option<u64>,
    pub attributes: Vec<(Cow<'static, str>, Value)>,
}

impl Line {
    pub fn new(at: SystemTime, severity: Severity, message: String) -> Self {
        Self { at, severity, message, trace_id: None, span_id: None, attributes: Vec::new() }
    }

    pub(crate) fn written(&self) -> Box<[u8]> {
        let at = nanos(self.at);
        let mut wire = Wire::with_capacity(256 + self.message.len());
        wire.fixed64(1, at);
        wire.uint(2, self.severity as u64);
        wire.field(3, self.severity.word().as_bytes());
        body(&mut wire, 5, &self.message);
        for (key, value) in &self.attributes {
            attribute(&mut wire, 6, key, value.said());
        }
        if let Some(trace_id) = self.trace_id {
            wire.field(9, &trace_id.to_be_bytes());
        }
        if let Some(span_id) = self.span_id {
            wire.field(10, &span_id.to_be_bytes());
        }
        wire.fixed64(11, at);
        wire.into_bytes().into_boxed_slice()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use opentelemetry_proto::tonic::{common::v1::any_value::Value as Any, logs::v1::LogRecord};
    use prost::Message;

    use super::*;

    #[test]
    fn a_line_is_read_with_its_time_severity_span_and_attributes() {
        let mut line = Line::new(UNIX_EPOCH + Duration::from_millis(1500), Severity::Warn, "é".repeat(200));
        (line.trace_id, line.span_id) = (Some(7), Some(9));
        line.attributes = vec![("status".into(), 502_u16.into()), ("path".into(), "/x".into())];
        let read = LogRecord::decode(&*line.written()).expect("OTLP");
        assert_eq!((read.time_unix_nano, read.observed_time_unix_nano), (1_500_000_000, 1_500_000_000));
        assert_eq!((read.severity_number, &*read.severity_text), (13, "warn"));
        let text =
            |value: Option<opentelemetry_proto::tonic::common::v1::AnyValue>| value.and_then(|value| value.value);
        assert_eq!(text(read.body), Some(Any::StringValue("é".repeat(200))));
        assert_eq!((read.trace_id, read.span_id), (7_u128.to_be_bytes().to_vec(), 9_u64.to_be_bytes().to_vec()));
        let told: Vec<_> = read.attributes.into_iter().map(|pair| (pair.key, text(pair.value))).collect();
        let wanted = [("status", Any::IntValue(502)), ("path", Any::StringValue("/x".into()))];
        assert_eq!(told, wanted.map(|(key, value)| (key.to_owned(), Some(value))));
        let read = LogRecord::decode(&*Line::new(UNIX_EPOCH, Severity::Error, String::new()).written()).expect("OTLP");
        assert_eq!((read.severity_number, read.trace_id, read.span_id), (17, Vec::new(), Vec::new()));
    }
}
