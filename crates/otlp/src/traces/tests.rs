//! What is written is read with the types that OpenTelemetry publishes.

use std::{sync::Arc, time::Duration};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    trace::v1::{ResourceSpans, Span as Read, span::SpanKind},
};
use prost::Message;
use span::{Event, Kind, Link, Source, Span, Value};

use super::*;
use crate::{Protocol, signal::Signal};

fn trace(spans: Vec<Span>) -> Trace {
    let spans = spans.into_iter().map(|span| Box::new(span) as Box<dyn Told>).collect();
    Trace { trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, sampled: true, tracestate: None, spans, left_out: 0 }
}

fn read(traces: &[Kept]) -> Vec<ResourceSpans> {
    let common = vec![("service.namespace".to_owned(), "shop".to_owned())];
    let requests = requests(traces, &mut Sources::new(common));
    let of = |request: &Request| ExportTraceServiceRequest::decode(request.message.clone()).expect("OTLP");
    requests.iter().flat_map(|request| of(request).resource_spans).collect()
}

fn one(trace: Trace) -> Read {
    let mut resources = read(&[Kept::Alone(trace)]);
    assert_eq!(resources.len(), 1);
    resources.remove(0).scope_spans.remove(0).spans.remove(0)
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(text: &str) -> Any {
    Any::StringValue(text.into())
}

#[test]
fn each_value_is_read_as_what_it_is() {
    let mut span = Span::new(Source::new("users", "2"), Kind::Server, Value::Words("GET", Arc::from("/x")));
    span.set("static", "a");
    span.set("shared", Arc::<str>::from("é"));
    span.set("text", "x".repeat(300));
    span.set("words", Value::Words("GET", Arc::from("/y")));
    span.set("empty", "");
    for number in [0_i64, 127, 128, -1, i64::MIN, i64::MAX] {
        span.set("int", number);
    }
    span.set("float", -0.5);
    span.set("yes", true);
    span.set("no", false);
    span.set_named("its own".into(), 7_u64);
    span.fail("trap");
    let read = one(trace(vec![span]));
    assert_eq!((&*read.name, read.kind), ("GET /x", SpanKind::Server as i32));
    let mut wanted = vec![
        pair("static", text("a")),
        pair("shared", text("é")),
        pair("text", text(&"x".repeat(300))),
        pair("words", text("GET /y")),
        pair("empty", text("")),
    ];
    wanted.extend([0, 127, 128, -1, i64::MIN, i64::MAX].map(|number| pair("int", Any::IntValue(number))));
    wanted.extend([
        pair("float", Any::DoubleValue(-0.5)),
        pair("yes", Any::BoolValue(true)),
        pair("no", Any::BoolValue(false)),
        pair("error.type", text("trap")),
        pair("its own", Any::IntValue(7)),
    ]);
    assert_eq!(read.attributes, wanted);
    assert_eq!(read.status.map(|status| status.code), Some(2));
}

#[test]
fn ids_parents_times_and_state_are_those_of_the_span() {
    let mut span = Span::new(Source::new("a", "1"), Kind::Consumer, "work");
    (span.id, span.parent, span.remote_parent) = (0x0102_0304_0506_0708, Some(0xb7ad_6b71_6920_3331), true);
    span.ended = span.began + Duration::from_micros(1500);
    let now = nanos(SystemTime::now());
    let mut whole = trace(vec![span]);
    whole.tracestate = Some("a=1,b=2".into());
    let read = one(whole);
    assert_eq!(read.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!(read.span_id, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(read.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert_eq!((&*read.trace_state, read.kind), ("a=1,b=2", SpanKind::Consumer as i32));
    assert_eq!(read.end_time_unix_nano - read.start_time_unix_nano, 1_500_000);
    assert!(now.abs_diff(read.start_time_unix_nano) < 60_000_000_000, "{now}: {read:?}");
    // Sampled; whether the parent is elsewhere is known, and it is.
    assert_eq!(read.flags, 0x301);
    assert_eq!(read.status, None);
    let mut kept = trace(vec![Span::new(Source::new("a", "1"), Kind::Internal, "")]);
    kept.sampled = false;
    let read = one(kept);
    assert_eq!((read.flags, read.parent_span_id, read.trace_state), (0x100, Vec::new(), String::new()));
}

#[test]
fn what_few_spans_have_is_read_too() {
    let mut span = Span::new(Source::new("a", "1"), Kind::Producer, "send");
    let at = UNIX_EPOCH + Duration::from_secs(5);
    let attributes = vec![("exception.type".to_owned(), Value::Static("panic"))];
    span.event(Event { name: "exception".into(), at, attributes });
    span.link(Link { trace_id: 9, span_id: 8 });
    span.more_mut().dropped = 3;
    span.more_mut().times = Some((at, at + Duration::from_nanos(7)));
    let read = one(trace(vec![span]));
    assert_eq!((read.start_time_unix_nano, read.end_time_unix_nano), (5_000_000_000, 5_000_000_007));
    assert_eq!((&*read.events[0].name, read.events[0].time_unix_nano), ("exception", 5_000_000_000));
    assert_eq!(read.events[0].attributes, [pair("exception.type", text("panic"))]);
    assert_eq!(read.links[0].trace_id, 9_u128.to_be_bytes());
    assert_eq!((&read.links[0].span_id, read.links[0].flags), (&8_u64.to_be_bytes().to_vec(), 0x101));
    assert_eq!(read.dropped_attributes_count, 3);
}

#[test]
fn each_source_is_one_resource_with_its_name_in_whatever_order_its_spans_come() {
    let sources = [Source::new("users", "2"), Source::new("orders", "3+abc")];
    let span = |at: usize| Span::new(sources[at].clone(), Kind::Server, "GET");
    let resources = read(&[Kept::Alone(trace(vec![span(0), span(1), span(0)])), Kept::Alone(trace(vec![span(1)]))]);
    let told: Vec<_> = resources
        .iter()
        .map(|of| {
            let scope = of.scope_spans[0].scope.as_ref().expect("a scope");
            assert_eq!((&*scope.name, &*scope.version), ("archipel", env!("CARGO_PKG_VERSION")));
            (of.resource.clone().expect("a resource").attributes, of.scope_spans[0].spans.len())
        })
        .collect();
    let resource = |name: &str, version: &str| {
        vec![
            pair("service.namespace", text("shop")),
            pair("service.name", text(name)),
            pair("service.version", text(version)),
        ]
    };
    assert_eq!(told, [(resource("users", "2"), 2), (resource("orders", "3+abc"), 2)]);
}

#[test]
fn a_request_is_bounded_and_nothing_is_lost_between_two() {
    let source = Source::new("a", "1");
    let large = || {
        let mut span = Span::new(source.clone(), Kind::Client, "SELECT");
        (0..60).for_each(|_| span.set("key", "v".repeat(1024)));
        span
    };
    let traces: Vec<_> = (0..50).map(|_| Kept::Alone(trace(vec![large()]))).collect();
    let requests = requests(&traces, &mut Sources::new(Vec::new()));
    assert_eq!(requests.iter().map(|request| request.items).sum::<usize>(), 50);
    assert!(requests.len() > 1 && requests.iter().all(|request| request.message.len() < 1_200_000), "{requests:?}");
    let read = read(&traces);
    assert_eq!(read.iter().map(|of| of.scope_spans[0].spans.len()).sum::<usize>(), 50);
}

#[test]
fn in_json_ids_are_hexadecimal_and_times_are_texts() {
    let mut span = Span::new(Source::new("a", "1"), Kind::Server, "GET");
    span.set("http.response.status_code", 200_u16);
    span.id = 0x0102_0304_0506_0708;
    let request = requests(&[Kept::Alone(trace(vec![span]))], &mut Sources::new(Vec::new())).remove(0);
    let json: serde_json::Value =
        serde_json::from_slice(&Signal::Traces.body(request.message, Protocol::HttpJson)).expect("JSON");
    let span = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(
        (&span["traceId"], &span["spanId"]),
        (&"0af7651916cd43dd8448eb211c80319c".into(), &"0102030405060708".into())
    );
    assert!(span["startTimeUnixNano"].is_string(), "{span}");
    assert_eq!(span["attributes"][0]["value"]["intValue"], "200");
}
