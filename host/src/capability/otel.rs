//! `wasi:otel/tracing`: spans that a guest makes itself, within those of the host.
//!
//! A guest's mistakes cost nobody anything: a span of another trace is taken for one of this request, one without a
//! parent is within the guest's run, one that was never begun is told all the same. What a guest does while its
//! span goes on is within that span.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::asking::Asking;
use ::span::{Event, Kind, Link, Span};

/// Its candidate, by the only version that toolchains know.
pub(super) const VERSION: &str = "wasi:otel/tracing@0.2.0-rc.2";
/// What it takes its types from.
pub(super) const TYPES: &str = "wasi:otel/types@0.2.0-rc.2";

/// Of each list in a span; the rest is not looked at.
const ITEMS_MAX: usize = 64;

/// What a store must hold for its guest to make spans.
pub trait TracingView: Send + 'static {
    fn asking(&self) -> &Arc<Asking>;
}

wasmtime::component::flags! {
    Flags {
        #[component(name = "sampled")]
        const SAMPLED;
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Context {
    #[component(name = "trace-id")]
    trace_id: String,
    #[component(name = "span-id")]
    span_id: String,
    #[component(name = "trace-flags")]
    flags: Flags,
    #[component(name = "is-remote")]
    is_remote: bool,
    #[component(name = "trace-state")]
    state: Vec<(String, String)>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Pair {
    key: String,
    /// JSON.
    value: String,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(record)]
struct Moment {
    seconds: u64,
    nanoseconds: u32,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "made by whoever calls")]
enum Role {
    #[component(name = "client")]
    Client,
    #[component(name = "server")]
    Server,
    #[component(name = "producer")]
    Producer,
    #[component(name = "consumer")]
    Consumer,
    #[component(name = "internal")]
    Internal,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Happened {
    name: String,
    time: Moment,
    attributes: Vec<Pair>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Linked {
    #[component(name = "span-context")]
    context: Context,
    #[expect(dead_code, reason = "a link of ours has none")]
    attributes: Vec<Pair>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
enum Status {
    #[component(name = "unset")]
    Unset,
    #[component(name = "ok")]
    Ok,
    #[component(name = "error")]
    Error(String),
}

#[derive(ComponentType, Lift)]
#[component(record)]
#[expect(dead_code, reason = "read as it comes")]
struct Scope {
    name: String,
    version: Option<String>,
    #[component(name = "schema-url")]
    schema_url: Option<String>,
    attributes: Vec<Pair>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Told {
    #[component(name = "span-context")]
    context: Context,
    #[component(name = "parent-span-id")]
    parent: String,
    #[component(name = "span-kind")]
    role: Role,
    name: String,
    #[component(name = "start-time")]
    began: Moment,
    #[component(name = "end-time")]
    ended: Moment,
    attributes: Vec<Pair>,
    events: Vec<Happened>,
    links: Vec<Linked>,
    status: Status,
    #[component(name = "instrumentation-scope")]
    _scope: Scope,
    #[component(name = "dropped-attributes")]
    dropped_attributes: u32,
    #[component(name = "dropped-events")]
    dropped_events: u32,
    #[component(name = "dropped-links")]
    dropped_links: u32,
}

pub fn add_to_linker<T: TracingView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut tracing = linker.instance(VERSION)?;
    tracing.func_wrap("on-start", |store, (context,): (Context,)| {
        if let Some(id) = id(&context.span_id) {
            store.data().asking().enter(id);
        }
        Ok(())
    })?;
    tracing.func_wrap("on-end", |store, (told,): (Told,)| {
        ended(store.data().asking(), told);
        Ok(())
    })?;
    // The second name is that of the draft after the candidate, which has the same version.
    for name in ["outer-span-context", "current-span-context"] {
        tracing.func_wrap(name, |store, (): ()| Ok((current(store.data().asking()),)))?;
    }
    Ok(())
}

fn current(asking: &Asking) -> Context {
    let cx = asking.request();
    let (trace_id, flags, state) =
        cx.as_ref().map_or((0, 0, None), |cx| (cx.trace.trace_id, cx.trace.flags, cx.trace.tracestate.as_ref()));
    let pairs = state.and_then(|state| state.to_str().ok()).unwrap_or_default().split(',');
    let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    Context {
        trace_id: format!("{trace_id:032x}"),
        span_id: format!("{:016x}", asking.within().unwrap_or(0)),
        flags: if flags & 1 == 1 { Flags::SAMPLED } else { Flags::default() },
        is_remote: false,
        state: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

fn ended(asking: &Asking, told: Told) {
    let (Some(id), Some(cx)) = (id(&told.context.span_id), asking.request()) else { return };
    asking.leave(id);
    let Some(spans) = &cx.spans else { return };
    let mut span = Span::new(asking.source().clone(), kind(told.role), told.name);
    (span.id, span.parent) = (id, self::id(&told.parent).or(Some(cx.trace.span_id)));
    for Pair { key, value } in told.attributes.into_iter().take(ITEMS_MAX) {
        span.set_named(key, value_of(&value));
    }
    for Happened { name, time, attributes } in told.events.into_iter().take(ITEMS_MAX) {
        let attributes = attributes.into_iter().take(ITEMS_MAX).map(|pair| (pair.key, value_of(&pair.value)));
        span.event(Event { name, at: moment(time), attributes: attributes.collect() });
    }
    for Linked { context, .. } in told.links.iter().take(ITEMS_MAX) {
        let trace_id = u128::from_str_radix(&context.trace_id, 16).ok().filter(|id| *id != 0);
        if let (Some(trace_id), Some(span_id)) = (trace_id, self::id(&context.span_id)) {
            span.link(Link { trace_id, span_id });
        }
    }
    if let Status::Error(reason) = told.status {
        span.set("archipel.reason", reason);
        span.fail("error");
    }
    let more = span.more_mut();
    more.dropped = [told.dropped_attributes, told.dropped_events, told.dropped_links]
        .into_iter()
        .fold(more.dropped, u32::saturating_add);
    let (began, ended) = (moment(told.began), moment(told.ended));
    more.times = Some((began, ended.max(began)));
    spans.add_of_guest(Box::new(span));
}

fn kind(role: Role) -> Kind {
    match role {
        Role::Client => Kind::Client,
        Role::Server => Kind::Server,
        Role::Producer => Kind::Producer,
        Role::Consumer => Kind::Consumer,
        Role::Internal => Kind::Internal,
    }
}

/// Sixteen hexadecimal digits, not all zero.
fn id(text: &str) -> Option<u64> {
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten().filter(|id| *id != 0)
}

fn moment(at: Moment) -> SystemTime {
    let since = Duration::new(at.seconds, at.nanoseconds.min(999_999_999));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// A JSON value; what is none, or has parts, is told as it was written.
fn value_of(json: &str) -> ::span::Value {
    match serde_json::from_str(json) {
        Ok(Value::Bool(truth)) => truth.into(),
        Ok(Value::String(text)) => text.into(),
        Ok(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => json.to_owned().into(),
        },
        _ => json.to_owned().into(),
    }
}
