//! The test guest for events of transactions: sends statements and publishes as it is told, then ends
//! the transaction as it is told.
//!
//! A success is 200 with what each step gave; a step that was refused gives the variant of its error
//! by its name in the WIT, and the steps after it are taken all the same.

use sdk::{
    Method, Request, Response,
    bindings::archipel::{
        messaging::{
            outbox,
            types::{Error, Message, PublishOptions},
        },
        postgres::{
            client::{self, Database, Transaction},
            types::Error as DatabaseError,
        },
    },
};
use serde_json::{Value, json};

sdk::handler!(answer);

fn answer(mut request: Request) -> Response {
    if request.method() != Method::Post {
        return Response::text(200, "probe-outbox: POST {database, steps, inner?, innerEnd?, end?}\n");
    }
    let Some(order) = request.body().ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok()) else {
        return Response::text(400, "no JSON\n");
    };
    match follow(&order) {
        Ok(told) => Response::json(200, told.to_string()),
        Err(refused) => Response::json(409, json!({ "error": database_error(&refused) }).to_string()),
    }
}

/// `{database, steps, inner, innerEnd, end, readOnly}`: the steps, then `inner` within a savepoint that
/// ends as `innerEnd` says, then the end: `commit`, `rollback`, `drop` or `trap`.
fn follow(order: &Value) -> Result<Value, DatabaseError> {
    let database = Database::open(order["database"].as_str().unwrap_or("shop"))?;
    let transaction = database.begin(None)?;
    let mut told = steps(&transaction, &order["steps"]);
    if order["inner"].is_array() {
        let savepoint = transaction.savepoint()?;
        told.extend(steps(&savepoint, &order["inner"]));
        end(savepoint, order["innerEnd"].as_str().unwrap_or("commit"))?;
    }
    end(transaction, order["end"].as_str().unwrap_or("commit"))?;
    Ok(json!(told))
}

fn steps(transaction: &Transaction, steps: &Value) -> Vec<Value> {
    steps.as_array().into_iter().flatten().map(|step| take(transaction, step)).collect()
}

/// `{sql}`, or an event: `{topic, key?, body?, size?, headers?, delay?, dedup?, ttl?}`; times in ms, `size`
/// for a body of so many bytes.
fn take(transaction: &Transaction, step: &Value) -> Value {
    if let Some(sql) = step["sql"].as_str() {
        return match transaction.execute(sql, &[]) {
            Ok(changed) => json!({ "changed": changed }),
            Err(refused) => database_error(&refused),
        };
    }
    let text = |name: &str| step[name].as_str().map(str::to_owned);
    let header = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
    let message = Message {
        topic: text("topic").unwrap_or_default(),
        key: text("key"),
        content_type: Some("application/json".to_owned()),
        headers: step["headers"].as_object().into_iter().flatten().map(header).collect(),
        body: match step["size"].as_u64() {
            Some(size) => vec![b'x'; usize::try_from(size).unwrap_or_default()],
            None => step["body"].to_string().into_bytes(),
        },
    };
    let millis = |name: &str| step[name].as_u64();
    let options = PublishOptions { delay_ms: millis("delay"), dedup_id: text("dedup"), ttl_ms: millis("ttl") };
    match outbox::publish(transaction, &message, Some(&options)) {
        Ok(id) => json!({ "id": id }),
        Err(refused) => error(&refused),
    }
}

fn end(transaction: Transaction, how: &str) -> Result<(), DatabaseError> {
    match how {
        "commit" => client::commit(transaction),
        "rollback" => client::rollback(transaction),
        "trap" => std::process::abort(),
        _ => {
            drop(transaction);
            Ok(())
        }
    }
}

fn error(error: &Error) -> Value {
    let (variant, text) = match error {
        Error::AccessDenied(text) => ("access-denied", text.clone()),
        Error::Unavailable(text) => ("unavailable", text.clone()),
        Error::Timeout => ("timeout", String::new()),
        Error::TooLarge(limit) => ("too-large", limit.to_string()),
        Error::Overloaded => ("overloaded", String::new()),
        Error::Other(text) => ("other", text.clone()),
    };
    json!({ "error": variant, "text": text })
}

fn database_error(error: &DatabaseError) -> Value {
    let text = match error {
        DatabaseError::Db(db) => db.sqlstate.clone(),
        other => format!("{other:?}"),
    };
    json!({ "error": "database", "text": text })
}
