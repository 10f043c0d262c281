//! What the contract offers, through a guest.

use super::*;
use crate::{limits::paused, metrics::becomes};

#[test]
fn every_operation_does_what_the_contract_says() {
    let shop = Shop::open("", &[WRITER, READER]);
    one_statement(&shop);
    batches(&shop);
    transactions(&shop);
    savepoints(&shop);
    values(&shop);
    errors(&shop);
    grants(&shop);
}

fn one_statement(shop: &Shop) {
    let insert = "insert into items (name, price) values ($1, $2) returning id, name, price";
    let told = shop.query("writer", insert, json!(["lamp", { "numeric": "19.90" }]));
    assert_eq!(told["rows"], json!([[{ "int32": 1 }, { "text": "lamp" }, { "numeric": "19.90" }]]));
    assert_eq!(told["columns"][2], json!({ "name": "price", "oid": 1700, "type": "numeric" }));
    assert_eq!(shop.execute("writer", "update items set price = 5", json!([])), json!({ "changed": 1 }));
    assert_eq!(shop.execute("writer", "delete from items where id = $1", json!([7])), json!({ "changed": 0 }));
}

fn batches(shop: &Shop) {
    let batch = |names: [&str; 2]| {
        let items = names.map(|name| json!({ "sql": "insert into items (name) values ($1)", "params": [name] }));
        shop.ask("writer", "/pg/batch", &json!({ "database": "shop", "items": items })).json()
    };
    assert_eq!(batch(["chair", "table"]), json!({ "changed": [1, 1] }));
    assert_eq!(variant(&batch(["sofa", "chair"]), "db")["sqlstate"], "23505");
    assert_eq!(shop.look.count("SELECT count(*) FROM items WHERE name = 'sofa'"), 0, "all or nothing");
    let thousand = vec![json!({ "sql": "select 1" }); 1001];
    let told = shop.ask("writer", "/pg/batch", &json!({ "database": "shop", "items": thousand })).json();
    variant(&told, "refused");
}

fn transactions(shop: &Shop) {
    for (end, kept) in [("commit", 1), ("rollback", 0), ("drop", 0)] {
        let insert = json!([{ "sql": "insert into items (name) values ($1)", "params": [end] }]);
        let order = json!({ "database": "shop", "items": insert, "end": end });
        assert_eq!(shop.ask("writer", "/pg/tx", &order).status, 200);
        assert_eq!(shop.look.count(&format!("SELECT count(*) FROM items WHERE name = '{end}'")), kept, "{end}");
    }
    // A transaction in which a statement failed is rolled back and says so.
    let items = json!([{ "sql": "insert into items (name) values ('half')" }, { "sql": "select 1 / 0" }]);
    let told = shop.ask("writer", "/pg/tx", &json!({ "database": "shop", "items": items, "end": "commit" })).json();
    assert_eq!(variant(&told, "db")["sqlstate"], "25P02");
    assert_eq!(shop.look.count("SELECT count(*) FROM items WHERE name = 'half'"), 0);
    let options = json!({ "isolation": "serializable", "readOnly": true });
    let items = json!([{ "sql": "select current_setting('transaction_isolation')" }, { "sql": "delete from items" }]);
    let told =
        shop.ask("writer", "/pg/tx", &json!({ "database": "shop", "items": items, "options": options, "end": "drop" }));
    assert_eq!(told.json()["results"][0]["rows"][0][0], json!({ "text": "serializable" }));
    assert_eq!(variant(&told.json()["results"][1], "db")["sqlstate"], "25006");
    shop.becomes_quiet();
}

fn savepoints(shop: &Shop) {
    let insert = |name: &str| json!([{ "sql": "insert into items (name) values ($1)", "params": [name] }]);
    let order = json!({ "database": "shop", "items": insert("outer"), "inner": insert("inner"), "after": insert("after"),
                        "innerEnd": "drop", "end": "commit" });
    let told = shop.ask("writer", "/pg/savepoint", &order).json();
    variant(&told["outer"], "closed");
    let kept = "SELECT string_agg(name, ',' ORDER BY id) FROM items WHERE name IN ('outer', 'inner', 'after')";
    assert_eq!(shop.look.text(kept), "outer,after");
}

/// Every type there and back, as the type PostgreSQL says it is.
fn values(shop: &Shop) {
    let id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    for (cast, value) in [
        ("boolean", json!({ "boolean": true })),
        ("int2", json!({ "int16": -32768 })),
        ("int4", json!({ "int32": i32::MAX })),
        ("int8", json!({ "int64": i64::MIN })),
        ("float4", json!({ "float32": 0.5 })),
        ("float8", json!({ "float64": 1e300 })),
        ("text", json!({ "text": "Zoë 🦀 'quoted' \\ \"\n" })),
        ("bytea", json!({ "bytes": [0, 1, 255] })),
        ("uuid", json!({ "uuid": id })),
        ("timestamp", json!({ "timestamp": 1_700_000_000_123_456_i64 })),
        ("timestamptz", json!({ "timestamptz": -1 })),
        ("date", json!({ "date": -719_162 })),
        ("time", json!({ "time": 86_399_999_999_i64 })),
        ("numeric", json!({ "numeric": "-12345678901234567890.0123456789" })),
        ("numeric", json!({ "numeric": "NaN" })),
        ("jsonb", json!({ "json": "{\"a\": [1, null]}" })),
        ("json", json!({ "json": "{\"a\":1,\"a\":2}" })),
        ("text[]", json!({ "text-array": ["a", null, "b,\"c\""] })),
        ("int8[]", json!({ "int64-array": [1, null, -1] })),
        ("uuid[]", json!({ "uuid-array": [id, null] })),
        ("point", json!({ "raw": [600, [63, 240, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0]] })),
        ("int4", json!(null)),
    ] {
        let told = shop.query("writer", &format!("select $1::{cast}"), json!([value]));
        assert_eq!(told["rows"], json!([[value]]), "{cast}: {told}");
    }
}

fn errors(shop: &Shop) {
    let told = shop.execute("writer", "insert into items (name) values ($1)", json!(["chair"]));
    let error = variant(&told, "db");
    assert_eq!((&error["sqlstate"], &error["constraint"]), (&json!("23505"), &json!("items_name_key")));
    assert_eq!((&error["table"], &error["schema"]), (&json!("items"), &json!("public")));
    let told = shop.execute("writer", "insert into items (name, price) values ('x', 1000)", json!([]));
    assert_eq!(variant(&told, "db")["constraint"], "cheap");
    let told = shop.query("writer", "select nonsense from items", json!([]));
    assert_eq!((&variant(&told, "db")["sqlstate"], &told["error"]["position"]), (&json!("42703"), &json!(8)));
    for (sql, params, at) in [
        ("select $1::int4", json!(["seven"]), 0),
        ("select $1::text, $2::uuid", json!(["a", "b"]), 1),
        ("select $1::int2", json!([70_000]), 0),
        ("select $1::numeric", json!([{ "numeric": "1.2.3" }]), 0),
    ] {
        let told = shop.query("writer", sql, params);
        assert_eq!(variant(&told, "parameter")["at"], at, "{sql}: {told}");
    }
    for params in [json!([]), json!([1, 2])] {
        let told = shop.query("writer", "select $1::int4", params);
        variant(&told, "parameter");
    }
}

fn grants(shop: &Shop) {
    let answer = shop.ask("writer", "/pg/open", &json!({ "database": "other" }));
    assert_eq!(variant(&answer.json(), "access-denied")["text"], "other", "the name and nothing else");
    let manifest = shop.host.folder.path().join("manifest.toml");
    let line = format!(
        "`writer` may not reach `postgres other`: `postgres` does not name `other`; to allow it, add `postgres = {{ other = \"read-write\" }}` to \
         `services.writer.permissions` in {}",
        manifest.display()
    );
    shop.host.log.expect_field("message", &line);
    let count = "select count(*) from items";
    assert_eq!(shop.query("reader", count, json!([]))["rows"], shop.query("writer", count, json!([]))["rows"]);
    for write in ["delete from items", "with gone as (delete from items returning 1) select * from gone"] {
        assert_eq!(variant(&shop.query("reader", write, json!([])), "db")["sqlstate"], "25006", "{write}");
    }
    let order = json!({ "database": "shop", "items": [{ "sql": "delete from items" }], "end": "commit" });
    let told = shop.ask("reader", "/pg/tx", &order).json();
    assert_eq!(variant(&told, "db")["sqlstate"], "25P02", "nothing was committed: {told}");
}

#[test]
fn an_answer_over_its_bounds_is_too_large_and_a_late_statement_is_stopped_on_the_server() {
    let bounds = "rows_max = 100\nbytes_max = \"64KiB\"\nstatement_timeout = \"2s\"\nconnections_max = 1";
    let lines = "limits = { timeout = \"9s\" }\npermissions = { postgres = { shop = \"read-write\" } }";
    let shop = Shop::open(bounds, &[("writer", lines)]);
    let rows = |count: u32| shop.query("writer", &format!("select generate_series(1, {count})"), json!([]));
    assert_eq!(rows(100)["rows"].as_array().unwrap().len(), 100);
    assert_eq!(variant(&rows(101), "too-large")["limit"], 100);
    // The host reads no gigabyte: the server is told to stop.
    assert_eq!(variant(&rows(1_000_000_000), "too-large")["limit"], 100);
    for huge in ["select repeat('x', 70000)", "select repeat('x', 10000000)"] {
        assert_eq!(variant(&shop.query("writer", huge, json!([])), "too-large")["limit"], 65536, "{huge}");
    }
    let began = Instant::now();
    variant(&shop.query("writer", "select pg_sleep(60)", json!([])), "timeout");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    shop.becomes_quiet();
    let count = shop.query("writer", "select count(*) from items", json!([]));
    assert_eq!(count["rows"], json!([[{ "int64": 0 }]]), "the only connection serves again");
}

#[test]
fn a_full_pool_is_a_503_within_its_wait_and_serves_again() {
    let holder = "limits = { timeout = \"6s\" }\npermissions = { postgres = { users = \"read-write\" } }";
    let host = Host::running(&format!(
        "{}\n[services.holder]\ncomponent = \"COMPONENTS/probe_pg.wasm\"\n{holder}\n\
         [[routes]]\npath = \"/pg/{{*rest}}\"\nservice = \"holder\"\npublic = true\n",
        shop::manifest("", "connections_max = 1")
    ))
    .for_admin();
    let look = Session::inside(&host, "users");
    let mut held = Connection::open(host.gateway);
    let order = json!({ "database": "users", "items": [{ "sql": "select 1" }] }).to_string();
    held.request("POST", "/pg/begin-and-hang", &[("content-type", "application/json")], order.as_bytes());
    look.becomes("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'", 1);

    let (pause, (refused, waited)) = paused(|| {
        let began = Instant::now();
        (host.get("/api/users"), began.elapsed())
    });
    println!("full pool: 503 after {waited:?}");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!((Duration::from_millis(950)..pause + Duration::from_millis(1900)).contains(&waited), "{waited:?}");
    becomes(&host, "archipel_postgres_wait_timeouts_total{database=\"users\"}", 1.0);
    becomes(&host, "archipel_postgres_connections_lent{database=\"users\"}", 1.0);
    assert_eq!(held.answer(false).expect("an answer").status, 504);
    assert_eq!(host.get("/api/users").status, 200);
}
