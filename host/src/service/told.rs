//! A guest's work as a span: an event it handles, a failure; and a request that is answered elsewhere. The requests it
//! answers itself are in `answering`.
//!
//! Decides what is said of it: what it used, how it failed. Never what it was asked or what it answered.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use gateway::{
    context::{RequestContext, method_name},
    counts::Label,
    dispatch::DispatchError,
};
use http::{Method, StatusCode};
use span::{Active, Event, Kind, Link, Source, Span, Value};

use super::failure::Failure;
use crate::{
    capability::{exception::Exception, messaging::Delivery},
    instance::Instance,
};

/// A request to a service that runs elsewhere: what that is told to be within.
pub(super) fn elsewhere(cx: &RequestContext, service: &Arc<str>, method: &Method) -> Active {
    let Some(spans) = &cx.spans else { return Active::default() };
    let mut span = of(cx, Span::new(spans.own().clone(), Kind::Client, method_name(method)));
    span.set("http.request.method", method_name(method));
    span.set("service.peer.name", service.clone());
    Active::of(spans, span)
}

/// The handling of an event: within its sending, however long that is ago, and linked to it.
pub(super) fn event(cx: &RequestContext, source: &Arc<Source>, delivery: &Delivery) -> Active {
    let Some(spans) = &cx.spans else { return Active::default() };
    let topic = &delivery.message.topic;
    let mut span = of(cx, Span::new(source.clone(), Kind::Consumer, format!("process {topic}")));
    span.remote_parent = true;
    if let Some(span_id) = span.parent {
        span.link(Link { trace_id: cx.trace.trace_id, span_id });
    }
    span.set("messaging.system", "redis");
    span.set("messaging.operation.type", "process");
    span.set("messaging.operation.name", "process");
    span.set("messaging.destination.name", topic.clone());
    span.set("messaging.consumer.group.name", source.name.clone());
    span.set("messaging.message.id", delivery.id.clone());
    span.set("archipel.attempt", delivery.attempt);
    let waited = jiff::Timestamp::now().as_millisecond().saturating_sub_unsigned(delivery.published_at);
    span.set("archipel.queue_ms", waited.max(0));
    Active::of(spans, span)
}

fn of(cx: &RequestContext, span: Span) -> Span {
    Span { id: cx.trace.span_id, parent: cx.trace.parent_id, ..span }
}

pub(super) fn head(span: &mut Active, status: StatusCode) {
    let Some(span) = span.span() else { return };
    span.set("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
}

/// There is no answer.
pub(super) fn refused(span: &mut Active, error: &DispatchError) {
    if let Some(span) = span.span() {
        span.set("archipel.reason", error.to_string());
        span.fail("no_answer");
    }
}

/// CPU in microseconds and memory in bytes that the run has used.
pub(super) fn used(instance: &Instance) -> (u64, u64) {
    (micros(instance.budget.spent()), instance.memory_bytes())
}

/// A request's own durations: no wide numbers needed.
pub(super) fn micros(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000 + u64::from(duration.subsec_micros())
}

/// An event's handler has returned, well or not.
pub(super) fn returned(span: &mut Active, instance: &Instance) {
    let Some(span) = span.span() else { return };
    let (cpu_us, memory_bytes) = used(instance);
    span.set("archipel.cpu_us", cpu_us);
    span.set("archipel.memory_bytes", memory_bytes);
}

pub(super) fn failed(span: &mut Span, failure: &Failure) {
    let kind = failure.trouble().word();
    span.set("archipel.reason", failure.to_string());
    span.fail(Value::Static(kind));
    let Some(scene) = failure.scene() else { return };
    if let Some(line) = scene.own() {
        span.set("code.function.name", line.function.clone());
        if let (Some(file), Some(number)) = (&line.file, line.line) {
            span.set("code.file.path", file.clone());
            span.set("code.line.number", number);
        }
    }
    let stack = scene.stack();
    match failure.said() {
        Some(said) if said.stack.is_empty() => threw(span, &said.kind, &said.message, stack),
        Some(said) => exception(span, said),
        None => threw(span, kind, &failure.to_string(), stack),
    }
}

/// What a guest said of its own failure.
pub(super) fn exception(span: &mut Span, said: &Exception) {
    let stack = said.stack.iter().map(|frame| format!("at {frame}\n")).collect();
    threw(span, &said.kind, &said.message, stack);
}

/// The conventions' way to tell of what was thrown.
fn threw(span: &mut Span, kind: &str, message: &str, stack: String) {
    let mut attributes = vec![
        ("exception.type".to_owned(), kind.to_owned().into()),
        ("exception.message".to_owned(), message.to_owned().into()),
    ];
    if !stack.is_empty() {
        attributes.push(("exception.stacktrace".to_owned(), stack.into()));
    }
    span.event(Event { name: "exception".into(), at: SystemTime::now(), attributes });
}
