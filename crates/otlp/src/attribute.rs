//! `KeyValue` and `Resource` of OTLP's `common.proto` and `resource.proto`, from our own values.

use span::Said;

use crate::wire::{LENGTH, Wire, field_size, size};

/// Fields of `KeyValue`.
const KEY: u32 = 1;
const VALUE: u32 = 2;
/// Fields of `AnyValue`.
const TEXT: u32 = 1;
const BOOL: u32 = 2;
const INT: u32 = 3;
const FLOAT: u32 = 4;

/// The longest message whose length is one byte.
const SHORT_MAX: usize = 127;
/// What an attribute has besides its key and its value's own bytes, while each length is one byte: tag and length of
/// the key, of the value, of what is in that.
const AROUND: usize = 6;

/// One attribute, as field `field` of the message that is being written; below 16.
#[inline]
pub(crate) fn attribute(wire: &mut Wire, field: u32, key: &str, value: Said<'_>) {
    match value {
        Said::Text(text) => self::text(wire, field, key, text),
        Said::Words(first, second) => {
            let length = first.len() + 1 + second.len();
            begin(wire, field, key, field_size(length));
            wire.begin(TEXT, length);
            words(wire, first, second);
        }
        Said::Int(number) => number_of(wire, field, key, (INT, number as u64)),
        Said::Float(number) => {
            begin(wire, field, key, 9);
            wire.fixed64(FLOAT, number.to_bits());
        }
        Said::Bool(truth) => number_of(wire, field, key, (BOOL, u64::from(truth))),
    }
}

/// An attribute that is a text. Nearly all are short: then what stands between key and text is written at once.
#[inline]
pub(crate) fn text(wire: &mut Wire, field: u32, key: &str, text: &str) {
    let (of_key, of_text) = (key.len(), text.len());
    if of_key + of_text > SHORT_MAX - AROUND {
        begin(wire, field, key, field_size(of_text));
        return wire.field(TEXT, text.as_bytes());
    }
    wire.raw(&[long(field), (of_key + of_text + AROUND) as u8, long(KEY), of_key as u8]);
    wire.raw(key.as_bytes());
    wire.raw(&[long(VALUE), of_text as u8 + 2, long(TEXT), of_text as u8]);
    wire.raw(text.as_bytes());
}

#[inline]
fn number_of(wire: &mut Wire, field: u32, key: &str, (kind, number): (u32, u64)) {
    let of_key = key.len();
    if of_key > SHORT_MAX - AROUND - 1 || number > 0x3fff {
        begin(wire, field, key, 1 + size(number));
        return wire.uint(kind, number);
    }
    let (low, high) = (number as u8, (number >> 7) as u8);
    let bytes = if number < 0x80 { 2 } else { 3 };
    wire.raw(&[long(field), of_key as u8 + 4 + bytes, long(KEY), of_key as u8]);
    wire.raw(key.as_bytes());
    match bytes {
        2 => wire.raw(&[long(VALUE), 2, kind as u8 * 8, low]),
        _ => wire.raw(&[long(VALUE), 3, kind as u8 * 8, low | 0x80, high]),
    }
}

/// As far as the bytes of the value, which come next.
fn begin(wire: &mut Wire, field: u32, key: &str, value: usize) {
    wire.begin(field, field_size(key.len()) + field_size(value));
    wire.field(KEY, key.as_bytes());
    wire.begin(VALUE, value);
}

/// The tag of a field below 16 that has a length.
#[inline]
const fn long(field: u32) -> u8 {
    field as u8 * 8 + LENGTH
}

/// A value as the text of a field.
#[inline]
pub(crate) fn name(wire: &mut Wire, field: u32, name: Said<'_>) {
    match name {
        Said::Text(text) => wire.field(field, text.as_bytes()),
        Said::Words(first, second) => {
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
