//! Our spans in the words of `opentelemetry_sdk`.
//!
//! Moments become times of day here, all of one batch by the same clock, so that a trace stays in order.

use std::{
    borrow::Cow,
    time::{Instant, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanLinks},
};
use span::{Kind, Source, Span, Trace, Value};

/// One reading of both clocks.
pub(crate) struct Clock {
    day: SystemTime,
    moment: Instant,
}

impl Clock {
    pub(crate) fn now() -> Self {
        Self { day: SystemTime::now(), moment: Instant::now() }
    }

    fn time(&self, at: Instant) -> SystemTime {
        match self.moment.checked_duration_since(at) {
            Some(ago) => self.day - ago,
            None => self.day + at.duration_since(self.moment),
        }
    }
}

/// Who a source is to whoever looks at traces. `common` is what all sources of this host have.
pub(crate) fn resource(source: &Source, common: &[(String, String)]) -> Resource {
    let own = [
        KeyValue::new("service.name", source.name.to_string()),
        KeyValue::new("service.version", source.version.to_string()),
    ];
    let common = common.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_attributes(common.chain(own)).build()
}

pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("archipel").with_version(env!("CARGO_PKG_VERSION")).build()
}

pub(crate) fn span(trace: &Trace, span: &Span, clock: &Clock, scope: &InstrumentationScope) -> SpanData {
    let flags = if trace.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let state = trace.tracestate.as_deref().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    let context = |trace_id: u128, span_id: u64, state| {
        SpanContext::new(TraceId::from(trace_id), SpanId::from(span_id), flags, false, state)
    };
    let mut attributes: Vec<_> = span.attributes.iter().map(|(key, set)| KeyValue::new(*key, value(set))).collect();
    if let Some(error) = &span.error {
        attributes.push(KeyValue::new("error.type", value(error)));
    }
    let mut data = SpanData {
        span_context: context(trace.trace_id, span.id, state),
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: span.remote_parent,
        span_kind: kind(span.kind),
        name: text(&span.name),
        start_time: clock.time(span.began),
        end_time: clock.time(span.ended),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if span.error.is_some() { Status::error("") } else { Status::Unset },
        instrumentation_scope: scope.clone(),
    };
    let Some(more) = span.more.as_deref() else { return data };
    data.attributes.extend(more.attributes.iter().map(|(key, set)| KeyValue::new(key.clone(), value(set))));
    data.dropped_attributes_count = more.dropped;
    data.events.events = more.events.iter().map(event).collect();
    let link = |link: &span::Link| {
        let context = context(link.trace_id, link.span_id, TraceState::default());
        opentelemetry::trace::Link::new(context, Vec::new(), 0)
    };
    data.links.links = more.links.iter().map(link).collect();
    if let Some((began, ended)) = more.times {
        (data.start_time, data.end_time) = (began, ended);
    }
    data
}

fn event(event: &span::Event) -> opentelemetry::trace::Event {
    let attributes = event.attributes.iter().map(|(key, set)| KeyValue::new(key.clone(), value(set))).collect();
    opentelemetry::trace::Event::new(event.name.clone(), event.at, attributes, 0)
}

fn kind(kind: Kind) -> SpanKind {
    match kind {
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    }
}

fn value(value: &Value) -> opentelemetry::Value {
    match value {
        Value::Static(text) => (*text).into(),
        Value::Shared(text) => text.clone().into(),
        Value::Text(text) => text.clone().into(),
        words @ Value::Words(..) => words.to_string().into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Bool(truth) => (*truth).into(),
    }
}

fn text(value: &Value) -> Cow<'static, str> {
    match value {
        Value::Static(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}
