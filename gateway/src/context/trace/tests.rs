//! The cases of the W3C test suite for `traceparent`, and those of `X-Trace-Id`.

use super::*;

const TRACE: &str = "12345678901234567890123456789012";
const ID: u128 = 0x12345678901234567890123456789012;

#[test]
fn a_valid_traceparent_is_continued_with_a_span_of_our_own() {
    for traceparent in [
        format!("00-{TRACE}-1234567890123456-01"),
        format!("  00-{TRACE}-1234567890123456-01\t"),
        format!("cc-{TRACE}-1234567890123456-01"),
        format!("cc-{TRACE}-1234567890123456-01-"),
        format!("cc-{TRACE}-1234567890123456-01-what-the-future-will-be-like"),
    ] {
        let trace = TraceContext::of(&headers(&[("traceparent", &traceparent), ("tracestate", "foo=1")]));
        assert_eq!((trace.trace_id, trace.parent_id), (ID, Some(0x1234567890123456)), "{traceparent}");
        assert_eq!(trace.tracestate.as_ref().unwrap(), "foo=1");
        let sent = trace.traceparent();
        assert!(sent.to_str().unwrap().starts_with(&format!("00-{TRACE}-")));
        assert!(sent.to_str().unwrap().ends_with("-01"));
        assert_ne!(trace.span_id, 0x1234567890123456);
    }
}

#[test]
fn an_invalid_traceparent_starts_a_new_trace_and_drops_tracestate() {
    let zero = "0".repeat(32);
    for traceparent in [
        String::new(),
        format!("00-{TRACE}-1234567890123456-01."),
        format!("00-{TRACE}-1234567890123456-01-what-the-future-will-be-like"),
        format!("cc-{TRACE}-1234567890123456-01.what-the-future-will-be-like"),
        format!("ff-{TRACE}-1234567890123456-01"),
        format!(".0-{TRACE}-1234567890123456-01"),
        format!("0.-{TRACE}-1234567890123456-01"),
        format!("000-{TRACE}-1234567890123456-01"),
        format!("0-{TRACE}-1234567890123456-01"),
        format!("00-{zero}-1234567890123456-01"),
        "00-.2345678901234567890123456789012-1234567890123456-01".into(),
        "00-1234567890123456789012345678901.-1234567890123456-01".into(),
        "00-ABCDEF78901234567890123456789012-1234567890123456-01".into(),
        format!("00-{TRACE}3-1234567890123456-01"),
        "00-1234567890123456789012345678901-1234567890123456-01".into(),
        format!("00-{TRACE}-0000000000000000-01"),
        format!("00-{TRACE}-.234567890123456-01"),
        format!("00-{TRACE}-123456789012345.-01"),
        format!("00-{TRACE}-12345678901234567-01"),
        format!("00-{TRACE}-123456789012345-01"),
        format!("00-{TRACE}-1234567890123456-.0"),
        format!("00-{TRACE}-1234567890123456-0."),
        format!("00-{TRACE}-1234567890123456-001"),
        format!("00-{TRACE}-1234567890123456-1"),
        format!("00-{TRACE}-1234567890123456"),
        format!("00_{TRACE}-1234567890123456-01"),
    ] {
        let trace = TraceContext::of(&headers(&[
            ("traceparent", &traceparent),
            ("tracestate", "foo=1"),
            ("x-trace-id", TRACE),
        ]));
        assert_ne!(trace.trace_id, ID, "{traceparent}");
        assert_eq!((trace.parent_id, trace.tracestate), (None, None), "{traceparent}");
        assert_eq!(trace.flags, 0x03, "a random id of ours, recorded");
    }
}

#[test]
fn two_traceparents_or_a_tracestate_alone_start_a_new_trace() {
    let one = format!("00-{TRACE}-1234567890123456-01");
    let trace = TraceContext::of(&headers(&[("traceparent", &one), ("traceparent", &one)]));
    assert_ne!(trace.trace_id, ID);
    let trace = TraceContext::of(&headers(&[("tracestate", "foo=1")]));
    assert_eq!((trace.parent_id, trace.tracestate), (None, None));
}

#[test]
fn known_flags_are_passed_on_and_reserved_ones_are_not() {
    for (sent, passed) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("ff", 3), ("04", 0)] {
        let traceparent = format!("00-{TRACE}-1234567890123456-{sent}");
        assert_eq!(TraceContext::of(&headers(&[("traceparent", &traceparent)])).flags, passed);
    }
}

#[test]
fn a_trace_id_header_counts_only_without_traceparent_and_when_valid() {
    check_given(TRACE, Some(ID));
    check_given("ABCDEF78-9012-3456-7890-123456789012", Some(0xabcdef78901234567890123456789012));
    check_given("abcdef789012-3456-7890-1234-56789012", None);
    check_given(&"0".repeat(32), None);
    check_given("00000000-0000-0000-0000-000000000000", None);
    check_given("abc", None);
    check_given(&format!("{TRACE}0"), None);
    check_given("g2345678901234567890123456789012", None);
    check_given("--------1234567890123456789012345678", None);
}

#[track_caller]
fn check_given(text: &str, expected: Option<u128>) {
    assert_eq!(given_trace_id(&headers(&[("x-trace-id", text)])), expected, "{text}");
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}
