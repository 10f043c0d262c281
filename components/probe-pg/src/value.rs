//! PostgreSQL's values as JSON, each under the name of its variant: `{"int32": 7}`.
//!
//! As a parameter a plain `null`, boolean or string will do, and a plain number is `int32` if it
//! fits, else `int64`, else `float64`. Bytes are lists of numbers.

use sdk::{
    Uuid,
    bindings::archipel::postgres::types::{Rows, Value},
};
use serde_json::{Value as Json, json};

pub(crate) fn tell_rows(rows: &Rows) -> Json {
    let columns: Vec<Json> = rows
        .columns
        .iter()
        .map(|column| json!({ "name": column.name, "oid": column.oid, "type": column.type_name }))
        .collect();
    let rows: Vec<Vec<Json>> = rows.rows.iter().map(|row| row.values.iter().map(tell).collect()).collect();
    json!({ "columns": columns, "rows": rows })
}

fn tell(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!({ "boolean": value }),
        Value::Int16(value) => json!({ "int16": value }),
        Value::Int32(value) => json!({ "int32": value }),
        Value::Int64(value) => json!({ "int64": value }),
        Value::Float32(value) => json!({ "float32": value }),
        Value::Float64(value) => json!({ "float64": value }),
        Value::Text(value) => json!({ "text": value }),
        Value::Bytes(value) => json!({ "bytes": value }),
        Value::Uuid(value) => json!({ "uuid": uuid(value) }),
        Value::Timestamp(value) => json!({ "timestamp": value }),
        Value::Timestamptz(value) => json!({ "timestamptz": value }),
        Value::Date(value) => json!({ "date": value }),
        Value::Time(value) => json!({ "time": value }),
        Value::Numeric(value) => json!({ "numeric": value }),
        Value::Json(value) => json!({ "json": value }),
        Value::TextArray(values) => json!({ "text-array": values }),
        Value::Int64Array(values) => json!({ "int64-array": values }),
        Value::UuidArray(values) => {
            let values: Vec<_> = values.iter().map(|value| value.as_ref().map(uuid)).collect();
            json!({ "uuid-array": values })
        }
        Value::Raw((oid, bytes)) => json!({ "raw": [oid, bytes] }),
    }
}

fn uuid((high, low): &(u64, u64)) -> String {
    Uuid::from_u64_pair(*high, *low).to_string()
}

pub(crate) fn read(json: &Json) -> Result<Value, String> {
    let value = match json {
        Json::Null => Some(Value::Null),
        Json::Bool(value) => Some(Value::Boolean(*value)),
        Json::String(value) => Some(Value::Text(value.clone())),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Some(i32::try_from(value).map_or(Value::Int64(value), Value::Int32)),
            None => number.as_f64().map(Value::Float64),
        },
        Json::Object(members) => members.iter().next().and_then(|(name, value)| named(name, value)),
        Json::Array(_) => None,
    };
    value.ok_or_else(|| format!("no value can be made of {json}"))
}

fn named(name: &str, json: &Json) -> Option<Value> {
    Some(match name {
        "boolean" => Value::Boolean(json.as_bool()?),
        "int16" => Value::Int16(json.as_i64()?.try_into().ok()?),
        "int32" => Value::Int32(json.as_i64()?.try_into().ok()?),
        "int64" => Value::Int64(json.as_i64()?),
        "float32" => Value::Float32(number(json)? as f32),
        "float64" => Value::Float64(number(json)?),
        "text" => Value::Text(text(json)?),
        "bytes" => Value::Bytes(bytes(json)?),
        "uuid" => Value::Uuid(pair(json)?),
        "timestamp" => Value::Timestamp(json.as_i64()?),
        "timestamptz" => Value::Timestamptz(json.as_i64()?),
        "date" => Value::Date(json.as_i64()?.try_into().ok()?),
        "time" => Value::Time(json.as_i64()?),
        "numeric" => Value::Numeric(text(json)?),
        "json" => Value::Json(text(json)?),
        "text-array" => Value::TextArray(array(json, text)?),
        "int64-array" => Value::Int64Array(array(json, Json::as_i64)?),
        "uuid-array" => Value::UuidArray(array(json, pair)?),
        "raw" => Value::Raw((json[0].as_u64()?.try_into().ok()?, bytes(&json[1])?)),
        _ => return None,
    })
}

/// Also `"NaN"` and `"inf"`, which JSON cannot write as numbers.
fn number(json: &Json) -> Option<f64> {
    json.as_f64().or_else(|| json.as_str()?.parse().ok())
}

fn text(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}

fn bytes(json: &Json) -> Option<Vec<u8>> {
    json.as_array()?.iter().map(|byte| byte.as_u64()?.try_into().ok()).collect()
}

fn pair(json: &Json) -> Option<(u64, u64)> {
    json.as_str()?.parse().ok().map(|uuid: Uuid| uuid.as_u64_pair())
}

fn array<T>(json: &Json, item: impl Fn(&Json) -> Option<T>) -> Option<Vec<Option<T>>> {
    let items = json.as_array()?.iter();
    items.map(|json| if json.is_null() { Some(None) } else { item(json).map(Some) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_is_told() {
        let id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
        for json in [
            json!(null),
            json!({ "boolean": true }),
            json!({ "int16": -7 }),
            json!({ "int64": 9_007_199_254_740_993_i64 }),
            json!({ "float32": 0.5 }),
            json!({ "text": "Zoë" }),
            json!({ "bytes": [0, 255] }),
            json!({ "uuid": id }),
            json!({ "numeric": "19.90" }),
            json!({ "json": "{}" }),
            json!({ "text-array": ["a", null] }),
            json!({ "int64-array": [1, null] }),
            json!({ "uuid-array": [id, null] }),
            json!({ "raw": [600, [1, 2]] }),
        ] {
            assert_eq!(tell(&read(&json).unwrap()), json);
        }
    }

    #[test]
    fn a_plain_value_becomes_the_nearest_type_and_nonsense_none() {
        assert_eq!(tell(&read(&json!(7)).unwrap()), json!({ "int32": 7 }));
        assert_eq!(tell(&read(&json!(3_000_000_000_i64)).unwrap()), json!({ "int64": 3_000_000_000_i64 }));
        assert_eq!(tell(&read(&json!(0.5)).unwrap()), json!({ "float64": 0.5 }));
        for json in [json!([1]), json!({}), json!({ "int16": 70_000 }), json!({ "integer": 1 })] {
            assert!(read(&json).is_err(), "{json}");
        }
    }
}
