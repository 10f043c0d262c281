//! What is sent: where each kind of it goes, and what is its own in an encoding.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest,
    metrics::v1::ExportMetricsServiceRequest,
    trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
};
use prost::Message;

use crate::Protocol;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    /// What is lost without a collector.
    pub(crate) fn items(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Logs => "log lines",
            Self::Metrics => "metrics",
        }
    }

    /// The method of a gRPC service.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }

    /// A message as it is sent. JSON is made of the published types: they know its names.
    pub(crate) fn body(self, message: Bytes, protocol: Protocol) -> Bytes {
        if protocol != Protocol::HttpJson {
            return message;
        }
        match self {
            Self::Traces => json::<ExportTraceServiceRequest>(message),
            Self::Logs => json::<ExportLogsServiceRequest>(message),
            Self::Metrics => json::<ExportMetricsServiceRequest>(message),
        }
    }

    /// How many items an answer says were left out. The answers of all signals have the same fields.
    pub(crate) fn unwanted(self, answer: &[u8], is_json: bool) -> u64 {
        let rejected = match is_json {
            // A number of 64 bits is a text in it.
            true => serde_json::from_slice::<serde_json::Value>(answer).ok().and_then(|answer| {
                let partial = answer.get("partialSuccess")?.as_object()?;
                let (_, count) = partial.iter().find(|(key, _)| key.starts_with("rejected"))?;
                count.as_i64().or_else(|| count.as_str()?.parse().ok())
            }),
            false => ExportTraceServiceResponse::decode(answer)
                .ok()
                .and_then(|answer| Some(answer.partial_success?.rejected_spans)),
        };
        rejected.and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
    }
}

fn json<M: Message + Default + serde::Serialize>(message: Bytes) -> Bytes {
    let read = M::decode(message).expect("what we have written can be read");
    serde_json::to_vec(&read).expect("texts and numbers can be written as JSON").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_left_out_is_read_in_both_encodings() {
        let signal = Signal::Traces;
        // partial_success { rejected_spans: 3, error_message: "no" }
        assert_eq!(signal.unwanted(&[0x0a, 6, 0x08, 3, 0x12, 2, b'n', b'o'], false), 3);
        assert_eq!(signal.unwanted(br#"{"partialSuccess":{"errorMessage":"no","rejectedSpans":"3"}}"#, true), 3);
        assert_eq!(signal.unwanted(br#"{"partialSuccess":{"rejectedLogRecords":2}}"#, true), 2);
        for (answer, is_json) in [(&b""[..], false), (b"", true), (b"{}", true), (b"OK\n", false), (b"OK\n", true)] {
            assert_eq!(signal.unwanted(answer, is_json), 0, "{answer:?}");
        }
    }
}
