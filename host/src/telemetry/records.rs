//! Log lines for a collector: the same as on standard output, as [`otlp::Line`].
//!
//! `service` says whose line it is, `traceId` and `spanId` what it belongs to; all other fields are attributes. Nothing
//! is made of a line while no collector wants any.

use std::{borrow::Cow, fmt, sync::Arc, time::SystemTime};

use otlp::{Line, Records, Severity};
use serde_json::Value as Json;
use span::Value;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// What guests print is told under this target.
const GUEST: &str = "guest";
/// Of the fields that a guest gives one line.
const FIELDS_MAX: usize = 64;

/// Hears every line that is told.
pub(super) struct Listening(pub(super) Arc<Records>);

impl<S: Subscriber> Layer<S> for Listening {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !self.0.are_wanted() {
            return;
        }
        let metadata = event.metadata();
        let mut heard = Heard::new(severity(*metadata.level()));
        heard.line.attributes.push(("log.target".into(), Value::Static(metadata.target())));
        event.record(&mut heard);
        self.0.tell(heard.service.as_deref(), metadata.target() == GUEST, &heard.line);
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

struct Heard {
    line: Line,
    service: Option<String>,
}

impl Heard {
    fn new(severity: Severity) -> Self {
        Self { line: Line::new(SystemTime::now(), severity, String::new()), service: None }
    }

    fn set(&mut self, field: &Field, value: Value) {
        self.line.attributes.push((Cow::Borrowed(field.name()), value));
    }

    fn text(&mut self, field: &Field, text: Cow<'_, str>) {
        match field.name() {
            "message" => self.line.message = text.into_owned(),
            "service" => self.service = Some(text.into_owned()),
            "traceId" => self.line.trace_id = u128::from_str_radix(&text, 16).ok(),
            "spanId" => self.line.span_id = u64::from_str_radix(&text, 16).ok(),
            // What a guest said as JSON; nobody else has a field of this name.
            "fields" => self.fields(&text),
            _ => self.set(field, Value::Text(text.into_owned())),
        }
    }

    fn fields(&mut self, json: &str) {
        let Ok(Json::Object(fields)) = serde_json::from_str(json) else { return };
        for (name, value) in fields.into_iter().take(FIELDS_MAX) {
            let value = match value {
                Json::String(text) => Value::Text(text),
                Json::Bool(truth) => Value::Bool(truth),
                Json::Number(number) => match number.as_i64() {
                    Some(number) => Value::Int(number),
                    None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
                },
                Json::Null => continue,
                parts => Value::Text(parts.to_string()),
            };
            self.line.attributes.push((Cow::Owned(name), value));
        }
    }
}

impl Visit for Heard {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, Cow::Borrowed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, Cow::Owned(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What is heard of one line.
    fn heard(tell: impl FnOnce()) -> Heard {
        #[derive(Clone, Default)]
        struct Keeps(Arc<std::sync::Mutex<Option<Heard>>>);
        impl<S: Subscriber> Layer<S> for Keeps {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                let mut heard = Heard::new(severity(*event.metadata().level()));
                event.record(&mut heard);
                *self.0.lock().unwrap() = Some(heard);
            }
        }
        let kept = Keeps::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(kept.clone()), tell);
        kept.0.lock().unwrap().take().expect("a line")
    }

    #[test]
    fn a_line_says_whose_it_is_and_of_which_span_and_keeps_its_fields() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let of = heard(|| {
            tracing::warn!(
                service = "users",
                traceId = trace,
                spanId = "00000000000000ff",
                status = 502,
                ok = false,
                "a {}",
                1
            );
        });
        assert_eq!((of.service.as_deref(), &*of.line.message), (Some("users"), "a 1"));
        assert_eq!((of.line.trace_id, of.line.span_id), (u128::from_str_radix(trace, 16).ok(), Some(255)));
        assert_eq!(of.line.severity, Severity::Warn);
        let wanted = vec![("status".into(), Value::Int(502)), ("ok".into(), Value::Bool(false))];
        assert_eq!(of.line.attributes, wanted);
    }

    #[test]
    fn what_a_guest_said_as_json_is_attributes_of_their_own() {
        let fields = r#"{"order":"7","total":1.5,"items":2,"late":true,"none":null,"of":{"a":[1]}}"#;
        let of = heard(|| tracing::info!(target: "guest", service = "orders", fields, "placed"));
        let wanted: Vec<(Cow<'static, str>, Value)> = vec![
            ("items".into(), Value::Int(2)),
            ("late".into(), Value::Bool(true)),
            ("of".into(), Value::Text(r#"{"a":[1]}"#.into())),
            ("order".into(), Value::Text("7".into())),
            ("total".into(), Value::Float(1.5)),
        ];
        let mut told = of.line.attributes;
        told.sort_by(|(one, _), (other, _)| one.cmp(other));
        assert_eq!(told, wanted);
    }
}
