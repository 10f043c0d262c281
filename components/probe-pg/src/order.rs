//! What a test orders: a database, statements, and how it should end.

use sdk::bindings::archipel::postgres::types::{Isolation, TxOptions, Value};
use serde_json::Value as Json;

use crate::value;

pub(crate) struct Order {
    pub(crate) database: String,
    /// `sql` and `params` of the order itself are an item too.
    pub(crate) items: Vec<Statement>,
    pub(crate) inner: Vec<Statement>,
    pub(crate) after: Vec<Statement>,
    pub(crate) options: Option<TxOptions>,
    pub(crate) end: String,
    pub(crate) inner_end: String,
}

#[derive(Default)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) params: Vec<Value>,
}

impl Order {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let order: Json = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let text = |name: &str, absent: &str| order[name].as_str().unwrap_or(absent).to_owned();
        let mut items = statements(&order["items"])?;
        if order["sql"].is_string() {
            items.push(statement(&order)?);
        }
        Ok(Self {
            database: text("database", ""),
            items,
            inner: statements(&order["inner"])?,
            after: statements(&order["after"])?,
            options: options(&order["options"])?,
            end: text("end", "commit"),
            inner_end: text("innerEnd", "commit"),
        })
    }

    /// The only statement of an order that has one; an empty one is the server's to refuse.
    pub(crate) fn first(&self) -> &Statement {
        const NONE: &Statement = &Statement { sql: String::new(), params: Vec::new() };
        self.items.first().unwrap_or(NONE)
    }
}

fn statements(items: &Json) -> Result<Vec<Statement>, String> {
    items.as_array().map_or(Ok(Vec::new()), |items| items.iter().map(statement).collect())
}

fn statement(item: &Json) -> Result<Statement, String> {
    let params = item["params"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(Statement {
        sql: item["sql"].as_str().ok_or("a statement without `sql`")?.to_owned(),
        params: params.iter().map(value::read).collect::<Result<_, _>>()?,
    })
}

fn options(options: &Json) -> Result<Option<TxOptions>, String> {
    if options.is_null() {
        return Ok(None);
    }
    let isolation = match options["isolation"].as_str() {
        None | Some("read-committed") => Isolation::ReadCommitted,
        Some("repeatable-read") => Isolation::RepeatableRead,
        Some("serializable") => Isolation::Serializable,
        Some(other) => return Err(format!("no isolation is called `{other}`")),
    };
    let flag = |name: &str| options[name].as_bool().unwrap_or(false);
    Ok(Some(TxOptions { isolation, read_only: flag("readOnly"), deferrable: flag("deferrable") }))
}
