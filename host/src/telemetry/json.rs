//! The JSON form of a log line: flat, `timestamp`, `level` and `message` first, then the event's
//! own fields. `service` and `version` are the host's own where the event names none.

use std::{
    cell::RefCell,
    fmt::{self, Write},
};

use jiff::Timestamp;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Room for a request's line, which is by far the most frequent.
const LINE_BYTES: usize = 512;

pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Line { text: String::with_capacity(LINE_BYTES), own_service: true };
        line.text.push_str("{\"timestamp\":\"");
        stamp(&mut line.text, Timestamp::now());
        line.text.push_str("\",\"level\":\"");
        line.text.push_str(level(*metadata.level()));
        line.text.push('"');
        if metadata.target() != "access" {
            line.text(",\"target\":", metadata.target());
        }
        event.record(&mut line);
        if line.own_service {
            line.text.push_str(concat!(",\"service\":\"archipel\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\""));
        }
        line.text.push_str("}\n");
        writer.write_str(&line.text)
    }
}

/// As RFC 3339 has it, with milliseconds. All but these are the same for a second, and written once in it.
fn stamp(into: &mut String, now: Timestamp) {
    thread_local! {
        static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let (second, millis) = (now.as_millisecond().div_euclid(1000), now.as_millisecond().rem_euclid(1000));
    SECOND.with_borrow_mut(|(of, text)| {
        if *of != second {
            *of = second;
            text.clear();
            // Writing to a string cannot fail.
            let _ = write!(text, "{:.0}", Timestamp::from_second(second).unwrap_or_default());
        }
        into.push_str(text.trim_end_matches('Z'));
    });
    into.push('.');
    for place in [100, 10, 1] {
        into.push(char::from(b'0' + u8::try_from(millis / place % 10).unwrap_or_default()));
    }
    into.push('Z');
}

fn level(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warn",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}

struct Line {
    text: String,
    own_service: bool,
}

impl Line {
    fn key(&mut self, field: &Field) {
        self.own_service &= field.name() != "service";
        self.text.push_str(",\"");
        self.text.push_str(field.name());
        self.text.push_str("\":");
    }

    /// `before` and then a JSON string.
    fn text(&mut self, before: &str, value: &str) {
        self.text.push_str(before);
        self.text.push('"');
        escape(&mut self.text, value);
        self.text.push('"');
    }

    fn number(&mut self, field: &Field, value: impl fmt::Display) {
        self.key(field);
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{value}");
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.key(field);
        // What a guest said as JSON stays JSON; nobody else has a field of this name.
        if field.name() == "fields" {
            return self.text.push_str(value);
        }
        self.text("", value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.number(field, value),
            false => self.number(field, "null"),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.key(field);
        self.text.push('"');
        // Writing to a string cannot fail.
        let _ = write!(Escaped(&mut self.text), "{value:?}");
        self.text.push('"');
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// RFC 8259, section 7. Everything below a space is escaped, so an event is always one line.
fn escape(into: &mut String, text: &str) {
    if !text.bytes().fold(false, |found, byte| found | is_special(byte)) {
        return into.push_str(text); // almost always, and looked at many bytes at a time
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_special) {
        let (plain, special) = rest.split_at(at);
        into.push_str(plain);
        match special.as_bytes()[0] {
            b'"' => into.push_str("\\\""),
            b'\\' => into.push_str("\\\\"),
            b'\n' => into.push_str("\\n"),
            b'\r' => into.push_str("\\r"),
            b'\t' => into.push_str("\\t"),
            // Writing to a string cannot fail.
            control => _ = write!(into, "\\u{control:04x}"),
        }
        rest = &special[1..];
    }
    into.push_str(rest);
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\') | (byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_its_milliseconds_and_no_other_second_is() {
        for millis in
            [1_796_000_000_000, 1_796_000_000_001, 1_796_000_000_999, 1_796_000_001_010, 0, -1, 1_795_999_999_500]
        {
            let now = Timestamp::from_millisecond(millis).unwrap();
            let mut text = String::new();
            stamp(&mut text, now);
            assert_eq!(text, format!("{now:.3}"));
        }
    }

    #[test]
    fn a_value_can_never_end_its_line_or_its_string() {
        let mut text = String::new();
        escape(&mut text, "a\"b\\c\nd\u{1}é\u{7f}ü");
        assert_eq!(text, "a\\\"b\\\\c\\nd\\u0001é\\u007fü");
        let parsed: String = serde_json::from_str(&format!("\"{text}\"")).expect("valid JSON");
        assert_eq!(parsed, "a\"b\\c\nd\u{1}é\u{7f}ü");
    }
}
