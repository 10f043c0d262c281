//! PostgreSQL as components meet it: every operation, every refusal, and what dying leaves behind.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Answer, Connection, Host, Session, place, shop};

mod deaths;
mod hostile;
mod load;
mod operations;
mod types;

const MIGRATION: &str = "create table items (id serial primary key, name text unique not null, price numeric(10, 2), \
                         constraint cheap check (price < 1000)); create schema stock; create table stock.boxes (n int);";

/// A private PostgreSQL with `shop` and `other`, and services that are all `probe-pg`; each
/// answers under its own name, `writer.test`.
struct Shop {
    host: Host,
    look: Session,
}

impl Shop {
    /// `database` are lines for `[postgres.shop]`.
    fn open(database: &str, services: &[(&str, &str)]) -> Self {
        let folder = place();
        std::fs::create_dir(folder.path().join("migrations")).unwrap();
        std::fs::write(folder.path().join("migrations/1.sql"), MIGRATION).unwrap();
        let mut manifest = format!("[postgres.shop]\nmigrations = \"migrations\"\n{database}\n[postgres.other]\n");
        for (name, lines) in services {
            manifest.push_str(&format!(
                "[services.{name}]\ncomponent = \"COMPONENTS/probe_pg.wasm\"\n{lines}\n\
                 [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
            ));
        }
        let host = Host::running_in(folder, &manifest);
        let look = Session::inside(&host, "shop");
        Self { host, look }
    }

    /// Sends an order to a service and gives the connection on which the answer will come.
    fn order(&self, service: &str, path: &str, order: &Value) -> Connection {
        let mut connection = Connection::open(self.host.gateway);
        let body = order.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {service}.test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write(&[head, body].concat().into_bytes());
        connection
    }

    #[track_caller]
    fn ask(&self, service: &str, path: &str, order: &Value) -> Answer {
        self.order(service, path, order).answer(false).expect("an answer")
    }

    /// Rows or the error of one statement.
    #[track_caller]
    fn query(&self, service: &str, sql: &str, params: Value) -> Value {
        self.ask(service, "/pg/query", &json!({ "database": "shop", "sql": sql, "params": params })).json()
    }

    /// How many rows a statement changed, or its error.
    #[track_caller]
    fn execute(&self, service: &str, sql: &str, params: Value) -> Value {
        self.ask(service, "/pg/execute", &json!({ "database": "shop", "sql": sql, "params": params })).json()
    }

    /// Nothing of any service is in a transaction, holds a lock or runs.
    #[track_caller]
    fn becomes_quiet(&self) -> Duration {
        let services = "usename LIKE 'db_shop:%' AND usename NOT LIKE '%:owner'";
        let busy = format!("SELECT count(*) FROM pg_stat_activity WHERE {services} AND state <> 'idle'");
        let quiet = self.look.becomes(&busy, 0);
        let locks = format!(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE {services} AND locktype <> 'virtualxid'"
        );
        self.look.becomes(&locks, 0);
        quiet
    }
}

const WRITER: (&str, &str) = ("writer", "permissions = { postgres = { shop = \"read-write\" } }");
const READER: (&str, &str) = ("reader", "permissions = { postgres = { shop = \"read\" } }");

#[track_caller]
fn variant<'a>(told: &'a Value, name: &str) -> &'a Value {
    let error = &told["error"];
    assert_eq!(error["variant"], name, "{told}");
    error
}
