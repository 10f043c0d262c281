//! Spans of a component's own, within the host's: `let _span = span!("price the cart", items = 3);`.
//!
//! A span ends when it is dropped, however its work ended. What the component asks the host for meanwhile is
//! within it. Where the host records nothing it forgets what it is told; a native test has no spans.

use serde_json::Value;

/// Attributes of one span; more are left out, as the host would.
const ATTRIBUTES_MAX: usize = 64;

/// Work that goes on.
#[must_use = "a span ends when it is dropped"]
pub struct Span {
    attributes: Vec<(String, Value)>,
    failure: Option<String>,
    open: Option<told::Open>,
}

/// Begins now. [`span!`](crate::span!) sets attributes, too.
pub fn span(name: impl Into<String>) -> Span {
    Span { attributes: Vec::new(), failure: None, open: told::begin(name.into()) }
}

impl Span {
    /// An attribute: anything that serde can write.
    pub fn set(&mut self, key: &str, value: impl serde::Serialize) {
        if self.open.is_some() && self.attributes.len() < ATTRIBUTES_MAX {
            self.attributes.push((key.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null)));
        }
    }

    /// It came to nothing, for this reason. Only the first counts.
    pub fn fail(&mut self, reason: impl std::fmt::Display) {
        if self.open.is_some() && self.failure.is_none() {
            self.failure = Some(reason.to_string());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            told::end(open, std::mem::take(&mut self.attributes), self.failure.take());
        }
    }
}

/// `let _span = span!("price the cart", items = 3);`: a span that ends when it is dropped.
#[macro_export]
macro_rules! span {
    ($name:expr $(, $key:ident = $value:expr)* $(,)?) => {{
        #[allow(unused_mut, reason = "a span may have no attributes")]
        let mut span = $crate::span($name);
        $(span.set(stringify!($key), $value);)*
        span
    }};
}

#[cfg(target_family = "wasm")]
mod told {
    use std::time::{SystemTime, UNIX_EPOCH};

    use serde_json::Value;

    use crate::{
        bindings::wasi::clocks::wall_clock::Datetime,
        random,
        tracing::wasi::otel::{
            tracing::{SpanContext, SpanData, SpanKind, Status, on_end, on_start, outer_span_context},
            types::{InstrumentationScope, KeyValue},
        },
    };

    pub(super) struct Open {
        name: String,
        context: SpanContext,
        parent: String,
        began: Datetime,
    }

    /// None where the host has no span for it to be within.
    pub(super) fn begin(name: String) -> Option<Open> {
        let outer = outer_span_context();
        if outer.span_id.bytes().all(|digit| digit == b'0') {
            return None;
        }
        let context = SpanContext { span_id: format!("{:016x}", random::u64().max(1)), ..outer.clone() };
        on_start(&context);
        Some(Open { name, context, parent: outer.span_id, began: now() })
    }

    pub(super) fn end(open: Open, attributes: Vec<(String, Value)>, failure: Option<String>) {
        let attributes = attributes.into_iter().map(|(key, value)| KeyValue { key, value: value.to_string() });
        let scope = InstrumentationScope {
            name: "sdk".to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            schema_url: None,
            attributes: Vec::new(),
        };
        on_end(&SpanData {
            span_context: open.context,
            parent_span_id: open.parent,
            span_kind: SpanKind::Internal,
            name: open.name,
            start_time: open.began,
            end_time: now(),
            attributes: attributes.collect(),
            events: Vec::new(),
            links: Vec::new(),
            status: failure.map_or(Status::Unset, Status::Error),
            instrumentation_scope: scope,
            dropped_attributes: 0,
            dropped_events: 0,
            dropped_links: 0,
        });
    }

    fn now() -> Datetime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
    }
}

/// A native test has no host that would take one.
#[cfg(not(target_family = "wasm"))]
mod told {
    use serde_json::Value;

    pub(super) struct Open;

    pub(super) fn begin(_: String) -> Option<Open> {
        None
    }

    pub(super) fn end(_: Open, _: Vec<(String, Value)>, _: Option<String>) {}
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_native_test_may_make_spans_that_nobody_hears_of() {
        let mut span = crate::span!("price the cart", items = 3, currency = "EUR");
        span.set("total", 1.5);
        span.fail("out of stock");
        assert!(span.attributes.is_empty() && span.failure.is_none(), "nothing is kept");
    }
}
