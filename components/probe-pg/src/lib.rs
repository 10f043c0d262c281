//! The test guest for PostgreSQL: sends what it is told and answers what came back, as JSON.
//!
//! A success is 200. What PostgreSQL or the host refused is 409 with the variant of the error, so
//! that a test sees what a guest sees. `begin-and-…` leave a transaction open in each way there
//! is to leave one.

mod error;
mod order;
mod typed;
mod value;

use sdk::{
    Method, Request, Response,
    bindings::archipel::postgres::{
        client::{self, Database, Transaction},
        types::Error,
    },
};
use serde_json::{Value, json};

use crate::order::{Order, Statement};

sdk::handler!(answer);

fn answer(mut request: Request) -> Response {
    let path = request.path();
    if path == "/" || request.method() != Method::Post {
        return Response::text(200, "probe-pg: POST to /pg/…\n");
    }
    let order = match request.body().map_err(|error| error.sentence().to_owned()) {
        Ok(body) => Order::parse(&body),
        Err(sentence) => Err(sentence),
    };
    match order {
        Err(problem) => Response::text(400, &format!("{problem}\n")),
        Ok(order) => match follow(&path, &order) {
            Some(Ok(told)) => Response::json(200, told.to_string()),
            Some(Err(refused)) => Response::json(409, error::tell(&refused).to_string()),
            None => Response::text(404, "no such behaviour\n"),
        },
    }
}

/// Nothing if the path names no behaviour.
fn follow(path: &str, order: &Order) -> Option<Result<Value, Error>> {
    let behaviour = match path {
        "/pg/open" => |_: &Database, _: &Order| Ok(json!("opened")),
        "/pg/query" => query,
        "/pg/execute" => execute,
        "/pg/batch" => batch,
        "/pg/tx" => transaction,
        "/pg/typed" => typed,
        "/pg/savepoint" => savepoint,
        "/pg/begin-and-trap" => begin_and_trap,
        "/pg/begin-and-hang" => begin_and_hang,
        "/pg/begin-and-spin" => begin_and_spin,
        "/pg/begin-and-return" => begin_and_return,
        _ => return None,
    };
    Some(Database::open(&order.database).and_then(|database| behaviour(&database, order)))
}

/// `{database}`: by the sdk's own types.
fn typed(_: &Database, order: &Order) -> Result<Value, Error> {
    typed::told(&order.database)
}

/// `{database, sql, params}`.
fn query(database: &Database, order: &Order) -> Result<Value, Error> {
    let Statement { sql, params } = order.first();
    database.query(sql, params).map(|rows| value::tell_rows(&rows))
}

/// `{database, sql, params}`.
fn execute(database: &Database, order: &Order) -> Result<Value, Error> {
    let Statement { sql, params } = order.first();
    database.execute(sql, params).map(|changed| json!({ "changed": changed }))
}

/// `{database, items: [{sql, params}]}`.
fn batch(database: &Database, order: &Order) -> Result<Value, Error> {
    let items: Vec<_> = order.items.iter().map(|item| (item.sql.clone(), item.params.clone())).collect();
    database.batch(&items).map(|changed| json!({ "changed": changed }))
}

/// `{database, items, options?, end: "commit" | "rollback" | "drop"}`: each item's rows or
/// error; an error does not stop the items after it.
fn transaction(database: &Database, order: &Order) -> Result<Value, Error> {
    let transaction = database.begin(order.options)?;
    let results = run(&transaction, &order.items);
    end(transaction, &order.end)?;
    Ok(json!({ "results": results }))
}

/// `{database, items, inner, after, innerEnd, end}`: `items`, then `inner` in a savepoint that
/// ends as `innerEnd` says, then `after`. `outer` is what the transaction itself says while the
/// savepoint lives.
fn savepoint(database: &Database, order: &Order) -> Result<Value, Error> {
    let transaction = database.begin(order.options)?;
    let items = run(&transaction, &order.items);
    let savepoint = transaction.savepoint()?;
    let inner = run(&savepoint, &order.inner);
    let outer = transaction.execute("select 1", &[]);
    end(savepoint, &order.inner_end)?;
    let after = run(&transaction, &order.after);
    end(transaction, &order.end)?;
    let outer = outer.map_or_else(|refused| error::tell(&refused), |changed| json!(changed));
    Ok(json!({ "items": items, "inner": inner, "outer": outer, "after": after }))
}

fn begin_and_trap(database: &Database, order: &Order) -> Result<Value, Error> {
    let transaction = database.begin(order.options)?;
    run(&transaction, &order.items);
    std::process::abort()
}

/// Sleeps with the transaction open until the host ends it.
fn begin_and_hang(database: &Database, order: &Order) -> Result<Value, Error> {
    let transaction = database.begin(order.options)?;
    run(&transaction, &order.items);
    loop {
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}

/// Computes with the transaction open until its share of the processor is used up.
fn begin_and_spin(database: &Database, order: &Order) -> Result<Value, Error> {
    let transaction = database.begin(order.options)?;
    run(&transaction, &order.items);
    loop {
        std::hint::black_box(&transaction);
    }
}

/// Answers, and never drops the handle itself.
fn begin_and_return(database: &Database, order: &Order) -> Result<Value, Error> {
    let transaction = database.begin(order.options)?;
    let results = run(&transaction, &order.items);
    std::mem::forget(transaction);
    Ok(json!({ "results": results }))
}

fn run(transaction: &Transaction, items: &[Statement]) -> Vec<Value> {
    let results = items.iter().map(|item| transaction.query(&item.sql, &item.params));
    let told = results.map(|result| match result {
        Ok(rows) => value::tell_rows(&rows),
        Err(refused) => error::tell(&refused),
    });
    told.collect()
}

fn end(transaction: Transaction, how: &str) -> Result<(), Error> {
    match how {
        "commit" => client::commit(transaction),
        "rollback" => client::rollback(transaction),
        _ => {
            drop(transaction);
            Ok(())
        }
    }
}
