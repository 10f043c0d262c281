//! The JSON form of a log line: flat, `timestamp`, `level` and `message` first, then the event's
//! own fields. `service` and `version` are the host's own where the event names none.
//!
//! Every request has a line: bytes are copied, and formatted only where somebody else knows how.

use std::{
    cell::{Cell, RefCell},
    fmt,
    io::Write,
};

use jiff::Timestamp;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Room for a request's line, which is by far the most frequent.
const LINE_BYTES: usize = 512;
/// Memory of a longer line is not kept for the next one.
const LINE_KEPT_MAX_BYTES: usize = 16 << 10;

/// Gives each line to `F`, which must not keep it.
pub(super) struct Lines<F>(pub(super) F);

impl<S, F> Layer<S> for Lines<F>
where
    S: Subscriber,
    F: Fn(&Metadata<'_>, &[u8]) + Send + Sync + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        thread_local! {
            static TEXT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        // A line that is told while one is made, or while its thread ends, has memory of its own.
        let text = TEXT.try_with(Cell::take).unwrap_or_default();
        let mut line = Line { text, own_service: true };
        line.text.reserve(LINE_BYTES);
        line.event(event);
        (self.0)(event.metadata(), &line.text);
        if line.text.capacity() <= LINE_KEPT_MAX_BYTES {
            line.text.clear();
            // Without a place to keep it, it is dropped.
            let _ = TEXT.try_with(|kept| kept.set(line.text));
        }
    }
}

/// As RFC 3339 has it, with milliseconds. All but these are the same for a second, and written once in it.
fn stamp(into: &mut Vec<u8>, now: Timestamp) {
    thread_local! {
        static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let (second, millis) = (now.as_millisecond().div_euclid(1000), now.as_millisecond().rem_euclid(1000));
    SECOND.with_borrow_mut(|(of, text)| {
        if *of != second {
            *of = second;
            *text = format!("{:.0}", Timestamp::from_second(second).unwrap_or_default());
            text.truncate(text.trim_end_matches('Z').len());
        }
        into.extend_from_slice(text.as_bytes());
    });
    into.push(b'.');
    thousandths(into, millis.unsigned_abs());
    into.push(b'Z');
}

/// Three digits.
fn thousandths(into: &mut Vec<u8>, value: u64) {
    into.extend([100, 10, 1].map(|place| digit(value / place)));
}

/// The last one.
fn digit(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

fn digits(into: &mut Vec<u8>, mut value: u64) {
    let mut text = [0; 20];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = digit(value);
        value /= 10;
        if value == 0 {
            return into.extend_from_slice(&text[start..]);
        }
    }
}

/// Up to here, a number of thousandths is one float and no other, and its shortest form has its digits.
const THOUSANDTHS_MAX: f64 = 1e15;

/// Most are durations, in thousandths.
fn float(into: &mut Vec<u8>, value: f64) {
    let (all, plain) = ((value * 1000.0).round(), value.is_sign_positive());
    if !(plain && all < THOUSANDTHS_MAX && all / 1000.0 == value) {
        // Writing to memory cannot fail.
        let _ = write!(into, "{value}");
        return;
    }
    let all = all as u64;
    digits(into, all / 1000);
    if !all.is_multiple_of(1000) {
        into.push(b'.');
        thousandths(into, all % 1000);
        while into.last() == Some(&b'0') {
            into.pop();
        }
    }
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
    text: Vec<u8>,
    own_service: bool,
}

impl Line {
    fn event(&mut self, event: &Event<'_>) {
        let metadata = event.metadata();
        self.push("{\"timestamp\":\"");
        stamp(&mut self.text, Timestamp::now());
        self.push("\",\"level\":\"");
        self.push(level(*metadata.level()));
        self.push("\"");
        if metadata.target() != "access" {
            self.push(",\"target\":");
            self.text(metadata.target());
        }
        event.record(self);
        if self.own_service {
            self.push(concat!(",\"service\":\"archipel\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\""));
        }
        self.push("}\n");
    }

    fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn key(&mut self, field: &Field) {
        self.own_service &= field.name() != "service";
        self.push(",\"");
        self.push(field.name());
        self.push("\":");
    }

    /// A JSON string.
    fn text(&mut self, value: &str) {
        self.push("\"");
        escape(&mut self.text, value);
        self.push("\"");
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.key(field);
        // What a guest said as JSON stays JSON; nobody else has a field of this name.
        match field.name() {
            "fields" => self.push(value),
            _ => self.text(value),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.key(field);
        digits(&mut self.text, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.key(field);
        if value < 0 {
            self.push("-");
        }
        digits(&mut self.text, value.unsigned_abs());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.key(field);
        self.push(if value { "true" } else { "false" });
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.key(field);
        match value.is_finite() {
            true => float(&mut self.text, value),
            false => self.push("null"),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.key(field);
        self.push("\"");
        // Writing to memory cannot fail.
        let _ = fmt::write(&mut Escaped(&mut self.text), format_args!("{value:?}"));
        self.push("\"");
    }
}

struct Escaped<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// RFC 8259, section 7. Everything below a space is escaped, so an event is always one line.
fn escape(into: &mut Vec<u8>, text: &str) {
    if !text.bytes().fold(false, |found, byte| found | is_special(byte)) {
        return into.extend_from_slice(text.as_bytes()); // almost always, and looked at many bytes at a time
    }
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().copied().position(is_special) {
        let (plain, special) = rest.split_at(at);
        into.extend_from_slice(plain);
        match special[0] {
            b'"' => into.extend_from_slice(b"\\\""),
            b'\\' => into.extend_from_slice(b"\\\\"),
            b'\n' => into.extend_from_slice(b"\\n"),
            b'\r' => into.extend_from_slice(b"\\r"),
            b'\t' => into.extend_from_slice(b"\\t"),
            // Writing to memory cannot fail.
            control => _ = write!(into, "\\u{control:04x}"),
        }
        rest = &special[1..];
    }
    into.extend_from_slice(rest);
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\') | (byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn a_time_is_written_with_its_milliseconds_and_no_other_second_is() {
        for millis in
            [1_796_000_000_000, 1_796_000_000_001, 1_796_000_000_999, 1_796_000_001_010, 0, -1, 1_795_999_999_500]
        {
            let now = Timestamp::from_millisecond(millis).unwrap();
            assert_eq!(text(|into| stamp(into, now)), format!("{now:.3}"));
        }
    }

    #[test]
    fn a_value_can_never_end_its_line_or_its_string() {
        let text = text(|into| escape(into, "a\"b\\c\nd\u{1}é\u{7f}ü"));
        assert_eq!(text, "a\\\"b\\\\c\\nd\\u0001é\\u007fü");
        let parsed: String = serde_json::from_str(&format!("\"{text}\"")).expect("valid JSON");
        assert_eq!(parsed, "a\"b\\c\nd\u{1}é\u{7f}ü");
    }

    #[test]
    fn numbers_read_as_they_are_printed_elsewhere() {
        for value in [0, 7, 10, 499, 65_536, u64::MAX] {
            assert_eq!(text(|into| digits(into, value)), value.to_string());
        }
        let mut floats = vec![0.0, -0.0, 0.1 + 0.2, 1.5, -2.25, 1e15, 1e300, f64::MIN_POSITIVE, f64::MAX, 1e-4];
        floats.extend((0..5000).map(|micros| f64::from(micros) / 1000.0));
        let of_any_size = |_| (fastrand::u64(..) >> fastrand::u32(14..64)) as f64 / 1000.0;
        floats.extend((0..5000).map(of_any_size));
        floats.extend((0..5000).map(|_| fastrand::f64() * 100.0));
        for value in floats {
            assert_eq!(text(|into| float(into, value)), value.to_string(), "{value:e}");
        }
    }

    #[test]
    fn a_line_has_its_fields_in_order_and_leaves_nothing_for_the_next() {
        let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = lines.clone();
        let keep = move |_: &Metadata<'_>, line: &[u8]| told.lock().unwrap().push(text(|into| into.extend(line)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Lines(keep)), || {
            let (none, fields) = (None::<&str>, r#"{"a":1}"#);
            tracing::info!(target: "access", status = 200, ms = 1.5, service = "users", none, complete = true, "request");
            tracing::warn!(target: "guest", below = -7, fields, odd = f64::NAN, shown = ?"x\"", "it\nsaid");
        });
        let lines = lines.lock().unwrap();
        let after = |line: usize| lines[line].split_once("Z\"").expect("a time").1;
        assert_eq!(
            after(0),
            ",\"level\":\"info\",\"message\":\"request\",\"status\":200,\"ms\":1.5,\"service\":\"users\",\"complete\":true}\n"
        );
        let own = concat!(",\"service\":\"archipel\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}\n");
        let said = r#","level":"warn","target":"guest","message":"it\nsaid","below":-7,"fields":{"a":1},"odd":null,"shown":"\"x\\\"\"""#;
        assert_eq!(after(1), format!("{said}{own}"));
    }
}
