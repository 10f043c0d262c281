//! What a component may not do, sent as a component would send it.

use super::*;

/// The statement, and how it is refused: the variant, or the SQLSTATE of the database.
const HOSTILE: &[(&str, &str)] = &[
    // Programs and files of the server.
    ("copy items to program 'id'", "refused"),
    ("copy items from '/etc/passwd'", "refused"),
    ("do $$ begin copy items to program 'id'; end $$", "42501"),
    ("select pg_read_file('/etc/passwd')", "42501"),
    ("select pg_read_binary_file('pg_hba.conf')", "42501"),
    ("select pg_ls_dir('/')", "42501"),
    ("select pg_stat_file('postgresql.conf')", "42501"),
    ("select lo_import('/etc/passwd')", "42501"),
    ("select lo_export(1, '/tmp/x')", "42501"),
    ("select lo_create(0)", "42501"),
    ("load '/tmp/x.so'", "refused"),
    ("select * from pg_hba_file_rules", "42501"),
    // The schema.
    ("create table mine (a int)", "42501"),
    ("create temp table mine (a int)", "42501"),
    ("select 1 as a into mine", "42501"),
    ("create schema mine", "42501"),
    ("create extension dblink", "42501"),
    ("create function public.f() returns int language sql as 'select 1'", "42501"),
    ("create function pg_temp.f() returns int language sql as 'select 1'", "42501"),
    ("create view v as select 1", "42501"),
    ("create trigger t after insert on items execute function suppress_redundant_updates_trigger()", "42501"),
    ("create rule r as on select to items do instead nothing", "42501"),
    ("create policy p on items", "42501"),
    ("create index on items (price)", "42501"),
    ("create database more", "42501"),
    ("alter table items add column mine text", "42501"),
    ("drop table items", "42501"),
    ("truncate items", "42501"),
    ("lock table items in access exclusive mode", "25P01"), // needs a transaction, whose end is certain
    ("comment on table items is 'mine'", "42501"),
    ("delete from archipel_migrations", "42501"),
    ("select setval('items_id_seq', 1)", "42501"),
    // Roles.
    ("create role friend login", "42501"),
    ("alter role \"db_shop:writer:rw\" superuser", "refused"),
    ("alter role \"db_shop:writer:rw\" set statement_timeout = 0", "refused"),
    ("alter user current_user password 'mine'", "refused"),
    ("drop owned by current_user", "refused"),
    ("grant \"db_shop:owner\" to \"db_shop:writer:rw\"", "42501"),
    ("set role \"db_shop:owner\"", "refused"),
    ("set session authorization archipel", "refused"),
    ("select set_config('role', 'db_shop:owner', false)", "42501"),
    ("select set_config('session_authorization', 'archipel', false)", "42501"),
    ("select rolpassword from pg_authid", "42501"),
    ("select passwd from pg_shadow", "42501"),
    ("select * from pg_user_mappings, pg_read_file('x')", "42501"),
    // The server and its other sessions.
    ("alter system set archive_command = 'id'", "42501"),
    ("select pg_reload_conf()", "42501"),
    ("select pg_switch_wal()", "42501"),
    ("select pg_create_physical_replication_slot('x')", "42501"),
    ("select * from other.public.items", "0A000"),
    ("select dblink('dbname=db_other', 'select 1')", "42883"),
    ("vacuum", "refused"),
    // The session and the transaction.
    ("begin", "refused"),
    ("commit", "refused"),
    ("/* */ rollback", "refused"),
    ("savepoint a", "refused"),
    ("start transaction", "refused"),
    ("prepare transaction 'x'", "refused"),
    ("set search_path to stock", "refused"),
    ("reset all", "refused"),
    ("discard all", "refused"),
    ("listen x", "refused"),
    ("declare c cursor with hold for select 1", "refused"),
    // More than one statement.
    ("select 1; drop table items", "42601"),
    ("insert into items (name) values ('x'); commit", "42601"),
    ("; commit", "refused"),
];

#[test]
fn what_is_no_business_of_a_component_is_refused_and_changes_nothing() {
    let lines = "limits = { timeout = \"9s\" }\npermissions = { postgres = { shop = \"read-write\" } }";
    let stranger = ("stranger", "permissions = { postgres = { other = \"read-write\" } }");
    let shop = Shop::open("statement_timeout = \"5s\"\nconnections_max = 1", &[("writer", lines), stranger]);
    shop.execute("writer", "insert into items (name) values ('kept')", json!([]));
    let before = state(&shop);
    for (sql, expected) in HOSTILE {
        let told = shop.execute("writer", sql, json!([]));
        let error = &told["error"];
        let refusal = if error["variant"] == "db" { &error["sqlstate"] } else { &error["variant"] };
        assert_eq!(refusal, expected, "{sql}: {told}");
    }
    assert_eq!(state(&shop), before, "nothing has changed");

    other_sessions_are_left_alone(&shop);
    grants_of_nothing_give_nothing(&shop);
    nothing_goes_from_one_request_to_the_next(&shop);
    assert_eq!(state(&shop), before, "nothing has changed");
}

/// Everything that a hostile statement could have changed.
fn state(shop: &Shop) -> String {
    shop.look.text(
        "SELECT concat_ws(' | ',
            (SELECT string_agg(name, ',') FROM items),
            (SELECT string_agg(rolname || rolsuper || rolcreaterole, ',' ORDER BY rolname) FROM pg_roles),
            (SELECT string_agg(coalesce(setconfig::text, ''), ',' ORDER BY setrole) FROM pg_db_role_setting),
            (SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database),
            (SELECT string_agg(oid::regclass || coalesce(relacl::text, ''), ',' ORDER BY oid) FROM pg_class
                WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_toast|^pg_temp')),
            (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_extension), (SELECT count(*) FROM pg_namespace),
            (SELECT count(*) FROM pg_auth_members), (SELECT count(*) FROM pg_largeobject_metadata),
            (SELECT count(*) FROM archipel_migrations))",
    )
}

fn other_sessions_are_left_alone(shop: &Shop) {
    let mine = shop.look.count("SELECT pg_backend_pid()::int8");
    let order = json!({ "database": "other", "sql": "select pg_backend_pid()" });
    let neighbour = shop.ask("stranger", "/pg/query", &order).json()["rows"][0][0]["int32"].clone();
    for pid in [json!(mine), neighbour] {
        for function in ["pg_terminate_backend", "pg_cancel_backend"] {
            let told = shop.query("writer", &format!("select {function}({pid})"), json!([]));
            assert_eq!(variant(&told, "db")["sqlstate"], "42501", "{function}");
        }
    }
    // What others run is not to be read either.
    let told = shop.query("writer", "select count(*) from pg_stat_activity where query not in ('', '<insufficient privilege>') and usename <> current_user", json!([]));
    assert_eq!(told["rows"], json!([[{ "int64": 0 }]]));
}

fn grants_of_nothing_give_nothing(shop: &Shop) {
    // PostgreSQL only warns.
    for sql in ["grant all on items to public", "revoke all on items from public"] {
        shop.execute("writer", sql, json!([]));
    }
}

/// The pool has one connection, so the next request certainly has the same.
fn nothing_goes_from_one_request_to_the_next(shop: &Shop) {
    let session =
        "select pg_backend_pid(), coalesce(current_setting('my.secret', true), ''), current_setting('search_path'),
                   current_setting('statement_timeout'), (select count(*) from pg_locks where locktype = 'advisory')";
    let clean = shop.query("writer", session, json!([]));
    for dirt in [
        "select set_config('my.secret', 'x', false)",
        "select set_config('search_path', 'stock', false)",
        "select set_config('statement_timeout', '0', false)",
        "select pg_advisory_lock(7)",
        "select nextval('items_id_seq')",
    ] {
        assert_eq!(shop.query("writer", dirt, json!([]))["error"], json!(null), "{dirt}");
        assert_eq!(shop.query("writer", session, json!([])), clean, "after {dirt}");
        let told = shop.query("writer", "select lastval()", json!([]));
        assert_eq!(variant(&told, "db")["sqlstate"], "55000", "after {dirt}");
    }
}
