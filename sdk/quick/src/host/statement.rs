//! Parameters of a statement: a tag and a value each, as `wit/` has them.

use rquickjs::{Array, Ctx, Exception, FromJs, Object, Result, TypedArray, Value};

use super::{Whole, bytes};
use crate::world::service::archipel::postgres::types::Value as Cell;

/// One parameter.
pub struct Statement(pub Cell);

impl<'js> FromJs<'js> for Statement {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        let given = Object::from_js(ctx, value)?;
        let tag: rquickjs::String = given.get("tag")?;
        let tag = tag.to_string()?;
        let text = || given.get::<_, String>("val");
        let big = || Ok::<i64, rquickjs::Error>(given.get::<_, Whole>("val")?.0);
        let cell = match &*tag {
            "null" => Cell::Null,
            "boolean" => Cell::Boolean(given.get("val")?),
            "int16" => Cell::Int16(given.get("val")?),
            "int32" => Cell::Int32(given.get("val")?),
            "int64" => Cell::Int64(big()?),
            "float32" => Cell::Float32(given.get("val")?),
            "float64" => Cell::Float64(given.get("val")?),
            "text" => Cell::Text(text()?),
            "bytes" => Cell::Bytes(bytes(&given.get::<_, TypedArray<u8>>("val")?)),
            "uuid" => Cell::Uuid(halves(&given.get("val")?)?),
            "timestamp" => Cell::Timestamp(big()?),
            "timestamptz" => Cell::Timestamptz(big()?),
            "date" => Cell::Date(given.get("val")?),
            "time" => Cell::Time(big()?),
            "numeric" => Cell::Numeric(text()?),
            "json" => Cell::Json(text()?),
            "text-array" => Cell::TextArray(given.get("val")?),
            "int64-array" => {
                let items: Vec<Option<Whole>> = given.get("val")?;
                Cell::Int64Array(items.into_iter().map(|item| item.map(|Whole(number)| number)).collect())
            }
            "uuid-array" => {
                let items: Vec<Option<Array>> = given.get("val")?;
                Cell::UuidArray(items.iter().map(|item| item.as_ref().map(halves).transpose()).collect::<Result<_>>()?)
            }
            "raw" => {
                let pair: Array = given.get("val")?;
                Cell::Raw((pair.get(0)?, bytes(&pair.get::<TypedArray<u8>>(1)?)))
            }
            _ => return Err(Exception::throw_type(ctx, &format!("`{tag}` is no type of a parameter"))),
        };
        Ok(Self(cell))
    }
}

fn halves(pair: &Array) -> Result<(u64, u64)> {
    Ok((pair.get::<Whole>(0)?.unsigned(), pair.get::<Whole>(1)?.unsigned()))
}
