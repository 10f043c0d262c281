//! A guest's work as a span: a request it answers, an event it handles.
//!
//! Decides what is said of it: whether its instance was fresh, how long it waited for a place, what it used,
//! how it failed. Never what it was asked or what it answered.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use gateway::{
    context::{RequestContext, method_name},
    counts::Label,
    dispatch::DispatchError,
};
use http::{Method, StatusCode};
use span::{Active, Event, Kind, Link, Source, Span, Value};

use super::failure::Failure;
use crate::{capability::messaging::Delivery, instance::Instance};

/// Begins with the wait for a place.
pub(super) fn request(cx: &RequestContext, source: &Arc<Source>, method: &Method) -> Active {
    let Some(spans) = &cx.spans else { return Active::default() };
    let name = match &cx.route {
        Some(route) => Value::Words(method_name(method), route.clone()),
        None => Value::Static(method_name(method)),
    };
    let mut span = of(cx, Span::new(source.clone(), Kind::Server, name));
    span.set("http.request.method", method_name(method));
    if let Some(route) = &cx.route {
        span.set("http.route", route.clone());
    }
    Active::of(spans, span)
}

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

/// It has a place, on a build that was chosen just now.
pub(super) fn admitted(span: &mut Active, source: &Arc<Source>, now: Instant) {
    let Some(span) = span.span() else { return };
    span.source = source.clone();
    span.set("archipel.queue_us", micros(now.saturating_duration_since(span.began)));
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

/// A request's own durations: no wide numbers needed.
fn micros(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000 + u64::from(duration.subsec_micros())
}

/// It has returned, well or not.
pub(super) fn returned(span: &mut Active, instance: &Instance) {
    let Some(span) = span.span() else { return };
    span.set("archipel.cpu_us", micros(instance.budget.spent()));
    span.set("archipel.memory_bytes", instance.memory_bytes());
}

pub(super) fn failed(span: &mut Active, failure: &Failure) {
    let Some(span) = span.span() else { return };
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
    // The conventions' way to tell of what was thrown.
    let (kind, message) = match failure.panic() {
        Some(panic) => ("panic", panic.to_owned()),
        None => (kind, failure.to_string()),
    };
    let mut attributes =
        vec![("exception.type".to_owned(), kind.into()), ("exception.message".to_owned(), message.into())];
    let stack = scene.stack();
    if !stack.is_empty() {
        attributes.push(("exception.stacktrace".to_owned(), stack.into()));
    }
    span.event(Event { name: "exception".into(), at: SystemTime::now(), attributes });
}
