//! What the sdk's own types and the language's look like in JSON.

use uuid::Uuid;

use super::{described::Described, schema::Schema};
use crate::{Date, LocalTimestamp, Time, Timestamp};

macro_rules! known {
    ($($schema:literal: $($type:ty),+;)*) => {$($(
        impl Described for $type {
            const SCHEMA: &'static Schema = &Schema::Plain($schema);
        }
    )+)*};
}

known! {
    r#""type":"boolean""#: bool;
    r#""type":"integer""#: i8, i16, i32, i64;
    r#""type":"integer","minimum":0"#: u8, u16, u32, u64;
    r#""type":"number""#: f32, f64;
    r#""type":"string","format":"uuid""#: Uuid;
    r#""type":"string","format":"date-time""#: Timestamp;
    r#""type":"string","format":"date""#: Date;
    r#""type":"string""#: Time, LocalTimestamp;
    "": serde_json::Value;
}

impl Described for String {
    const SCHEMA: &'static Schema = &Schema::Text;
}

impl Described for str {
    const SCHEMA: &'static Schema = &Schema::Text;
}

impl<T: Described + ?Sized> Described for &T {
    const SCHEMA: &'static Schema = T::SCHEMA;
}

impl<T: Described> Described for Box<T> {
    const SCHEMA: &'static Schema = T::SCHEMA;
}

impl<T: Described> Described for Vec<T> {
    const SCHEMA: &'static Schema = &Schema::List(T::SCHEMA);
}

impl<T: Described> Described for Option<T> {
    const SCHEMA: &'static Schema = &Schema::Optional(T::SCHEMA);
}
