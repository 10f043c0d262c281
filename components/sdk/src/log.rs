//! Log lines with a level and fields: `log::info!("an order was placed", order = id, items = 3)`.
//!
//! A line is one JSON object on standard output; the host takes level, message and fields over, and adds
//! service and trace id. What a request prints is bounded (64 KiB), and a line to 4 KiB.

pub use crate::{log_debug as debug, log_error as error, log_info as info, log_warn as warn};

use serde_json::{Map, Value};

/// Writes a line; the macros are for people.
#[doc(hidden)]
#[allow(clippy::print_stdout, reason = "standard output is where lines go")]
pub fn line(level: &str, message: &str, fields: Map<String, Value>) {
    println!("{}", text(level, message, fields));
}

fn text(level: &str, message: &str, fields: Map<String, Value>) -> String {
    let mut object = fields;
    object.insert("level".to_owned(), level.into());
    object.insert("message".to_owned(), message.into());
    Value::Object(object).to_string()
}

#[doc(hidden)]
#[macro_export]
macro_rules! log_line {
    ($level:literal, $message:expr $(, $name:ident = $value:expr)* $(,)?) => {{
        #[allow(unused_mut, reason = "a line may have no fields")]
        let mut fields = $crate::log::fields();
        $(fields.insert(stringify!($name).to_owned(), $crate::log::value(&$value));)*
        $crate::log::line($level, &$message.to_string(), fields);
    }};
}

/// A line that says what happens as it should. Fields are anything that serde can write.
#[macro_export]
macro_rules! log_info {
    ($($said:tt)*) => { $crate::log_line!("info", $($said)*) };
}

/// A line that somebody should look at one day.
#[macro_export]
macro_rules! log_warn {
    ($($said:tt)*) => { $crate::log_line!("warn", $($said)*) };
}

/// A line that somebody should look at now.
#[macro_export]
macro_rules! log_error {
    ($($said:tt)*) => { $crate::log_line!("error", $($said)*) };
}

/// A line for who looks for a fault; told where the host's log is told to tell it.
#[macro_export]
macro_rules! log_debug {
    ($($said:tt)*) => { $crate::log_line!("debug", $($said)*) };
}

#[doc(hidden)]
pub fn fields() -> Map<String, Value> {
    Map::new()
}

/// What serde cannot write is left out.
#[doc(hidden)]
pub fn value(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_object_with_level_message_and_fields() {
        let mut fields = fields();
        fields.insert("items".to_owned(), value(&vec![1, 2]));
        let line: Value = serde_json::from_str(&text("info", "a \"cart\"\nof two", fields)).expect("JSON on one line");
        assert_eq!(line, serde_json::json!({"level": "info", "message": "a \"cart\"\nof two", "items": [1, 2]}));
    }
}
