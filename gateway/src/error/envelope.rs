//! The JSON of every answer that is the gateway's own: the envelope of the shop's contract.
//!
//! Decides only its spelling. Written by hand around the one member that needs escaping.

use bytes::Bytes;

use crate::context::TraceContext;

/// `{"success":false,"error":…,"timestamp":…,"traceId":…}` at this moment.
pub fn envelope(error: &str, trace: &TraceContext) -> Bytes {
    let mut json = Vec::with_capacity(128 + error.len());
    json.extend_from_slice(br#"{"success":false,"error":"#);
    serde_json::to_writer(&mut json, error).expect("text is always JSON and a vector takes it");
    ended(json, trace)
}

/// `{"success":true,"data":…,"timestamp":…,"traceId":…}` at this moment. `data` is JSON.
pub(crate) fn success(data: &[u8], trace: &TraceContext) -> Bytes {
    let mut json = Vec::with_capacity(128 + data.len());
    json.extend_from_slice(br#"{"success":true,"data":"#);
    json.extend_from_slice(data);
    ended(json, trace)
}

fn ended(mut json: Vec<u8>, trace: &TraceContext) -> Bytes {
    json.extend_from_slice(br#","timestamp":""#);
    json.extend_from_slice(format!("{:.3}", jiff::Timestamp::now()).as_bytes());
    json.extend_from_slice(br#"","traceId":""#);
    json.extend_from_slice(&trace.trace_id_hex());
    json.extend_from_slice(br#""}"#);
    json.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_json_whatever_the_sentence_holds() {
        let trace = TraceContext { trace_id: 0xab, ..TraceContext::start() };
        let text = "a \"quoted\" \\ line\nand \u{1} é";
        let json: serde_json::Value = serde_json::from_slice(&envelope(text, &trace)).unwrap();
        assert_eq!(json["success"], false);
        assert_eq!(json["error"], text);
        assert_eq!(json["traceId"], "000000000000000000000000000000ab");
        let timestamp = json["timestamp"].as_str().unwrap();
        assert_eq!((timestamp.len(), &timestamp[19..20], &timestamp[23..]), (24, ".", "Z"), "{timestamp}");
        assert!(timestamp.parse::<jiff::Timestamp>().is_ok());
        assert_eq!(json.as_object().unwrap().len(), 4);
    }
}
