//! `KeyValue` and `Resource` of OTLP's `common.proto` and `resource.proto`, from our own values.

use span::Value;

use crate::wire::{Wire, field_size, size};

/// Fields of `KeyValue`.
const KEY: u32 = 1;
const VALUE: u32 = 2;
/// Fields of `AnyValue`.
const TEXT: u32 = 1;
const BOOL: u32 = 2;
const INT: u32 = 3;
const FLOAT: u32 = 4;

/// One attribute, as field `field` of the message that is being written.
#[inline]
pub(crate) fn attribute(wire: &mut Wire, field: u32, key: &str, value: &Value) {
    match value {
        Value::Static(text) => self::text(wire, field, key, text),
        Value::Shared(text) => self::text(wire, field, key, text),
        Value::Text(text) => self::text(wire, field, key, text),
        Value::Words(first, second) => {
            let length = first.len() + 1 + second.len();
            begin(wire, field, key, field_size(length));
            wire.begin(TEXT, length);
            words(wire, first, second);
        }
        Value::Int(number) => {
            begin(wire, field, key, 1 + size(*number as u64));
            wire.uint(INT, *number as u64);
        }
        Value::Float(number) => {
            begin(wire, field, key, 9);
            wire.fixed64(FLOAT, number.to_bits());
        }
        Value::Bool(truth) => {
            begin(wire, field, key, 2);
            wire.uint(BOOL, u64::from(*truth));
        }
    }
}

/// An attribute that is a text.
#[inline]
pub(crate) fn text(wire: &mut Wire, field: u32, key: &str, text: &str) {
    begin(wire, field, key, field_size(text.len()));
    wire.field(TEXT, text.as_bytes());
}

/// As far as the bytes of the value, which come next.
#[inline]
fn begin(wire: &mut Wire, field: u32, key: &str, value: usize) {
    wire.begin(field, field_size(key.len()) + field_size(value));
    wire.field(KEY, key.as_bytes());
    wire.begin(VALUE, value);
}

/// A value as the text of a field.
#[inline]
pub(crate) fn name(wire: &mut Wire, field: u32, name: &Value) {
    match name {
        Value::Static(text) => wire.field(field, text.as_bytes()),
        Value::Shared(text) => wire.field(field, text.as_bytes()),
        Value::Text(text) => wire.field(field, text.as_bytes()),
        Value::Words(first, second) => {
            wire.begin(field, first.len() + 1 + second.len());
            words(wire, first, second);
        }
        other => wire.field(field, other.to_string().as_bytes()),
    }
}

/// A text as an `AnyValue`.
pub(crate) fn body(wire: &mut Wire, field: u32, text: &str) {
    wire.begin(field, field_size(text.len()));
    wire.field(TEXT, text.as_bytes());
}

fn words(wire: &mut Wire, first: &str, second: &str) {
    wire.raw(first.as_bytes());
    wire.raw(b" ");
    wire.raw(second.as_bytes());
}

/// A `Resource` of these.
pub(crate) fn resource(attributes: &[(String, String)]) -> Vec<u8> {
    let mut wire = Wire::default();
    attributes.iter().for_each(|(key, value)| text(&mut wire, 1, key, value));
    wire.into_bytes()
}

/// The `InstrumentationScope` of all that this host tells.
pub(crate) fn scope() -> Vec<u8> {
    let mut wire = Wire::default();
    wire.field(1, b"archipel");
    wire.field(2, env!("CARGO_PKG_VERSION").as_bytes());
    wire.into_bytes()
}
