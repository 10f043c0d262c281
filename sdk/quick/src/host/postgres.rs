//! Databases. Rows come ready: a value of each column under its name, as the sdk gives them. Where the host has left one in
//! PostgreSQL's own form, the rows say `raw` and the sdk reads it.

use rquickjs::{
    Array, Atom, BigInt, Ctx, Function, IntoJs as _, Object, Result, TypedArray, Value, function::Constructor,
};

use super::{Fault, Handles, big, moment, statement::Statement, thrown};
use crate::{
    depth,
    world::service::archipel::postgres::{
        client::{self, Database, Transaction},
        types::{DbError, Error, Rows, Value as Cell},
    },
};

thread_local! {
    static DATABASES: Handles<Database> = const { Handles::new() };
    static TRANSACTIONS: Handles<Transaction> = const { Handles::new() };
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("databaseOpen", Function::new(ctx.clone(), open)?)?;
    native.set("databaseQuery", Function::new(ctx.clone(), query)?)?;
    native.set("databaseExecute", Function::new(ctx.clone(), execute)?)?;
    native.set("databaseBegin", Function::new(ctx.clone(), begin)?)?;
    native.set("transactionQuery", Function::new(ctx.clone(), query_within)?)?;
    native.set("transactionExecute", Function::new(ctx.clone(), execute_within)?)?;
    native.set("commit", Function::new(ctx.clone(), commit)?)?;
    native.set("rollback", Function::new(ctx.clone(), rollback)?)
}

fn open(ctx: Ctx<'_>, name: String) -> Result<u32> {
    let opened = DATABASES.with(|databases| databases.named(name, Database::open));
    opened.map_err(|error| refused(&ctx, error))
}

fn query<'js>(ctx: Ctx<'js>, database: u32, sql: String, parameters: Vec<Statement>) -> Result<Value<'js>> {
    let database = DATABASES.with(|databases| databases.get(&ctx, database))?;
    rows(&ctx, database.query(&sql, &cells(parameters)))
}

fn execute<'js>(ctx: Ctx<'js>, database: u32, sql: String, parameters: Vec<Statement>) -> Result<BigInt<'js>> {
    let database = DATABASES.with(|databases| databases.get(&ctx, database))?;
    changed(&ctx, database.execute(&sql, &cells(parameters)))
}

fn begin(ctx: Ctx<'_>, database: u32) -> Result<u32> {
    let database = DATABASES.with(|databases| databases.get(&ctx, database))?;
    let begun = database.begin(None).map_err(|error| refused(&ctx, error))?;
    Ok(TRANSACTIONS.with(|transactions| transactions.add(begun)))
}

fn query_within<'js>(ctx: Ctx<'js>, transaction: u32, sql: String, parameters: Vec<Statement>) -> Result<Value<'js>> {
    let transaction = TRANSACTIONS.with(|transactions| transactions.get(&ctx, transaction))?;
    rows(&ctx, transaction.query(&sql, &cells(parameters)))
}

fn execute_within<'js>(
    ctx: Ctx<'js>,
    transaction: u32,
    sql: String,
    parameters: Vec<Statement>,
) -> Result<BigInt<'js>> {
    let transaction = TRANSACTIONS.with(|transactions| transactions.get(&ctx, transaction))?;
    changed(&ctx, transaction.execute(&sql, &cells(parameters)))
}

fn commit(ctx: Ctx<'_>, transaction: u32) -> Result<()> {
    let transaction = TRANSACTIONS.with(|transactions| transactions.take(&ctx, transaction))?;
    client::commit(transaction).map_err(|error| refused(&ctx, error))
}

fn rollback(ctx: Ctx<'_>, transaction: u32) -> Result<()> {
    let transaction = TRANSACTIONS.with(|transactions| transactions.take(&ctx, transaction))?;
    client::rollback(transaction).map_err(|error| refused(&ctx, error))
}

fn cells(parameters: Vec<Statement>) -> Vec<Cell> {
    parameters.into_iter().map(|Statement(cell)| cell).collect()
}

fn changed<'js>(ctx: &Ctx<'js>, result: std::result::Result<u64, Error>) -> Result<BigInt<'js>> {
    big(ctx, result.map_err(|error| refused(ctx, error))?)
}

fn rows<'js>(ctx: &Ctx<'js>, result: std::result::Result<Rows, Error>) -> Result<Value<'js>> {
    let found = result.map_err(|error| refused(ctx, error))?;
    let names =
        found.columns.iter().map(|column| Atom::from_str(ctx.clone(), &column.name)).collect::<Result<Vec<_>>>()?;
    let made = Array::new(ctx.clone())?;
    if found.rows.iter().flat_map(|row| &row.values).any(|cell| matches!(cell, Cell::Raw(_))) {
        made.as_object().set("raw", true)?;
    }
    for (at, row) in found.rows.into_iter().enumerate() {
        let object = Object::new(ctx.clone())?;
        for (name, cell) in names.iter().zip(row.values) {
            object.set(name.clone(), value(ctx, cell)?)?;
        }
        made.set(at, object)?;
    }
    Ok(made.into_value())
}

fn value<'js>(ctx: &Ctx<'js>, cell: Cell) -> Result<Value<'js>> {
    match cell {
        Cell::Null => Ok(Value::new_null(ctx.clone())),
        Cell::Boolean(value) => value.into_js(ctx),
        Cell::Int16(value) => value.into_js(ctx),
        Cell::Int32(value) => value.into_js(ctx),
        Cell::Int64(value) => BigInt::from_i64(ctx.clone(), value)?.into_js(ctx),
        Cell::Float32(value) => value.into_js(ctx),
        Cell::Float64(value) => value.into_js(ctx),
        Cell::Text(text) | Cell::Numeric(text) => text.into_js(ctx),
        Cell::Bytes(bytes) => TypedArray::new(ctx.clone(), bytes)?.into_js(ctx),
        Cell::Uuid(halves) => id(halves).into_js(ctx),
        Cell::Timestamp(micros) => moment::local(micros).into_js(ctx),
        Cell::Timestamptz(micros) => date(ctx, micros),
        Cell::Date(days) => moment::day(days.into()).into_js(ctx),
        Cell::Time(micros) => moment::time(micros).into_js(ctx),
        Cell::Json(text) => {
            depth::check(ctx, &text)?;
            ctx.json_parse(text)
        }
        Cell::TextArray(texts) => array(ctx, texts, |text| text.into_js(ctx)),
        Cell::Int64Array(numbers) => array(ctx, numbers, |number| BigInt::from_i64(ctx.clone(), number)?.into_js(ctx)),
        Cell::UuidArray(ids) => array(ctx, ids, |halves| id(halves).into_js(ctx)),
        Cell::Raw((oid, bytes)) => {
            let made = Object::new(ctx.clone())?;
            made.set("oid", oid)?;
            made.set("bytes", TypedArray::new(ctx.clone(), bytes)?)?;
            made.into_js(ctx)
        }
    }
}

fn array<'js, T>(ctx: &Ctx<'js>, items: Vec<Option<T>>, one: impl Fn(T) -> Result<Value<'js>>) -> Result<Value<'js>> {
    let made = Array::new(ctx.clone())?;
    for (at, item) in items.into_iter().enumerate() {
        made.set(at, item.map_or_else(|| Ok(Value::new_null(ctx.clone())), &one)?)?;
    }
    Ok(made.into_value())
}

fn id((high, low): (u64, u64)) -> String {
    let hex = format!("{high:016x}{low:016x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Down to the millisecond before.
#[allow(clippy::cast_precision_loss, reason = "what is not exact is beyond the years of a Date")]
fn date<'js>(ctx: &Ctx<'js>, micros: i64) -> Result<Value<'js>> {
    let made: Constructor = ctx.globals().get("Date")?;
    made.construct((micros.div_euclid(1000) as f64,))
}

/// An error of the database, with all that it says.
fn refused(ctx: &Ctx, error: Error) -> rquickjs::Error {
    let plain = match error {
        Error::Db(told) => return thrown(ctx, "db", |ctx| Ok(database_error(ctx, told)?.into_value())),
        Error::Parameter((index, why)) => {
            return thrown(ctx, "parameter", |ctx| {
                let pair = Array::new(ctx.clone())?;
                pair.set(0, index)?;
                pair.set(1, why)?;
                Ok(pair.into_value())
            });
        }
        Error::AccessDenied(text) => Fault::with("access-denied", text),
        Error::Refused(text) => Fault::with("refused", text),
        Error::Unavailable(text) => Fault::with("unavailable", text),
        Error::Timeout => Fault::of("timeout"),
        Error::Overloaded => Fault::of("overloaded"),
        Error::TooLarge(most) => Fault::with("too-large", most),
        Error::Closed => Fault::of("closed"),
        Error::Other(text) => Fault::with("other", text),
    };
    plain.thrown(ctx)
}

fn database_error<'js>(ctx: &Ctx<'js>, told: DbError) -> Result<Object<'js>> {
    let made = Object::new(ctx.clone())?;
    made.set("sqlstate", told.sqlstate)?;
    made.set("severity", told.severity)?;
    made.set("message", told.message)?;
    made.set("detail", told.detail)?;
    made.set("hint", told.hint)?;
    made.set("schema", told.schema)?;
    made.set("table", told.table)?;
    made.set("column", told.column)?;
    made.set("constraint", told.constraint)?;
    made.set("position", told.position)?;
    Ok(made)
}
