//! A line that a guest tells: text, or a JSON object as loggers of every language write it.
//!
//! Of an object the level and the message are taken over and the rest goes along as `fields`. Whatever is no
//! such object is text: nobody is told that his line is wrong.

use serde_json::{Map, Value};
use tracing::Level;

/// What is taken for a message, and for a level.
const MESSAGES: [&str; 2] = ["message", "msg"];
const LEVELS: [&str; 4] = ["level", "severity", "lvl", "levelname"];

/// A line as it goes to the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// What the guest says of it, if it does.
    pub(super) level: Option<Level>,
    pub(super) message: String,
    /// A JSON object; none: there is nothing else.
    pub(super) fields: Option<String>,
}

impl Said {
    pub(super) fn read(line: &str) -> Self {
        let text = || Self { level: None, message: line.to_owned(), fields: None };
        if !line.starts_with('{') {
            return text();
        }
        let Ok(mut object) = serde_json::from_str::<Map<String, Value>>(line) else { return text() };
        let Some(message) = MESSAGES.iter().find_map(|name| taken(&mut object, name, message)) else { return text() };
        let level = LEVELS.iter().find_map(|name| taken(&mut object, name, level));
        let fields = (!object.is_empty()).then(|| Value::Object(object).to_string());
        Self { level, message, fields }
    }
}

/// The member, out of the object if it can be read.
fn taken<T>(object: &mut Map<String, Value>, name: &str, read: fn(&Value) -> Option<T>) -> Option<T> {
    let found = object.get(name).and_then(read)?;
    object.remove(name);
    Some(found)
}

fn message(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Words in any case, and the numbers of pino and bunyan.
fn level(value: &Value) -> Option<Level> {
    if let Some(number) = value.as_u64() {
        return match number {
            10 => Some(Level::TRACE),
            20 => Some(Level::DEBUG),
            30 => Some(Level::INFO),
            40 => Some(Level::WARN),
            50 | 60 => Some(Level::ERROR),
            _ => None,
        };
    }
    match &*value.as_str()?.to_ascii_lowercase() {
        "trace" => Some(Level::TRACE),
        "debug" => Some(Level::DEBUG),
        "info" | "notice" => Some(Level::INFO),
        "warn" | "warning" => Some(Level::WARN),
        "error" | "critical" | "fatal" | "alert" | "emergency" => Some(Level::ERROR),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_give_level_message_and_fields_and_everything_else_is_text() {
        let said = |line: &str| {
            let Said { level, message, fields } = Said::read(line);
            (level, message, fields)
        };
        let text = |line: &str| assert_eq!(said(line), (None, line.to_owned(), None));
        assert_eq!(said(r#"{"level":"warn","msg":"a"}"#), (Some(Level::WARN), "a".into(), None));
        let with = (Some(Level::ERROR), "b".to_owned(), Some(r#"{"n":1,"o":{"p":[]}}"#.to_owned()));
        assert_eq!(said(r#"{"severity":"CRITICAL","message":"b","n":1,"o":{"p":[]}}"#), with);
        assert_eq!(said(r#"{"level":30,"msg":"pino"}"#).0, Some(Level::INFO));
        assert_eq!(said(r#"{"level":"loud","msg":"c"}"#), (None, "c".into(), Some(r#"{"level":"loud"}"#.into())));
        text("hello");
        text("{ not json");
        text(r#"{"no":"message"}"#);
        text(r#"["msg"]"#);
        text("");
    }
}
