//! Spans of the service's own, as the sdk makes them: without events and links.

use rquickjs::{Array, Ctx, Function, Object, Result};

use super::{Whole, big, pair};
use crate::world::service::wasi::{
    clocks::wall_clock::{self, Datetime},
    otel::{
        tracing::{self, SpanContext, SpanData, SpanKind, Status, TraceFlags},
        types::{InstrumentationScope, KeyValue},
    },
};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("wallClock", Function::new(ctx.clone(), now)?)?;
    native.set("spanOuter", Function::new(ctx.clone(), outer)?)?;
    native.set("spanStart", Function::new(ctx.clone(), start)?)?;
    native.set("spanEnd", Function::new(ctx.clone(), end)?)
}

fn now(ctx: Ctx<'_>) -> Result<Object<'_>> {
    let Datetime { seconds, nanoseconds } = wall_clock::now();
    let made = Object::new(ctx.clone())?;
    made.set("seconds", big(&ctx, seconds)?)?;
    made.set("nanoseconds", nanoseconds)?;
    Ok(made)
}

fn outer(ctx: Ctx<'_>) -> Result<Object<'_>> {
    let context = tracing::outer_span_context();
    let flags = Object::new(ctx.clone())?;
    flags.set("sampled", context.trace_flags == TraceFlags::SAMPLED)?;
    let state: Vec<_> = context.trace_state.into_iter().map(|(key, value)| vec![key, value]).collect();
    let made = Object::new(ctx)?;
    made.set("traceId", context.trace_id)?;
    made.set("spanId", context.span_id)?;
    made.set("traceFlags", flags)?;
    made.set("isRemote", context.is_remote)?;
    made.set("traceState", state)?;
    Ok(made)
}

fn start(context: Object<'_>) -> Result<()> {
    tracing::on_start(&self::context(&context)?);
    Ok(())
}

fn end(told: Object<'_>) -> Result<()> {
    let scope: Object = told.get("instrumentationScope")?;
    let status: Object = told.get("status")?;
    let status = match &*status.get::<_, String>("tag")? {
        "error" => Status::Error(status.get("val")?),
        "ok" => Status::Ok,
        _ => Status::Unset,
    };
    let attributes = told.get::<_, Array>("attributes")?.iter::<Object>();
    let attributes = attributes.map(|pair| pair.and_then(|pair| attribute(&pair))).collect::<Result<_>>()?;
    tracing::on_end(&SpanData {
        span_context: context(&told.get("spanContext")?)?,
        parent_span_id: told.get("parentSpanId")?,
        span_kind: SpanKind::Internal,
        name: told.get("name")?,
        start_time: moment(&told.get("startTime")?)?,
        end_time: moment(&told.get("endTime")?)?,
        attributes,
        events: Vec::new(),
        links: Vec::new(),
        status,
        instrumentation_scope: InstrumentationScope {
            name: scope.get("name")?,
            version: scope.get("version")?,
            schema_url: None,
            attributes: Vec::new(),
        },
        dropped_attributes: 0,
        dropped_events: 0,
        dropped_links: 0,
    });
    Ok(())
}

fn context(of: &Object<'_>) -> Result<SpanContext> {
    let flags: Object = of.get("traceFlags")?;
    let sampled = flags.get::<_, Option<bool>>("sampled")?.unwrap_or(false);
    let state: Vec<Vec<String>> = of.get("traceState")?;
    Ok(SpanContext {
        trace_id: of.get("traceId")?,
        span_id: of.get("spanId")?,
        trace_flags: if sampled { TraceFlags::SAMPLED } else { TraceFlags::empty() },
        is_remote: of.get("isRemote")?,
        trace_state: state.into_iter().filter_map(pair).collect(),
    })
}

fn attribute(pair: &Object<'_>) -> Result<KeyValue> {
    Ok(KeyValue { key: pair.get("key")?, value: pair.get("value")? })
}

fn moment(of: &Object<'_>) -> Result<Datetime> {
    Ok(Datetime { seconds: of.get::<_, Whole>("seconds")?.unsigned(), nanoseconds: of.get("nanoseconds")? })
}
