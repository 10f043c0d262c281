use super::*;

#[tokio::test]
async fn a_service_runs_no_program_reads_no_file_and_changes_no_schema() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    pool.execute("INSERT INTO items (name) VALUES ('kept')", &[], soon()).await.unwrap();
    for refused in [
        "COPY items TO PROGRAM 'id'",
        "COPY items FROM '/etc/passwd'",
        "SET ROLE \"db_shop:owner\"",
        "SET SESSION AUTHORIZATION archipel",
        "ALTER ROLE \"db_shop:writer:rw\" SUPERUSER",
    ] {
        let outcome = pool.execute(refused, &[], soon()).await;
        assert!(matches!(outcome, Err(Error::Refused(_))), "{refused}: {outcome:?}");
    }
    for denied in [
        "DO $$ BEGIN COPY items TO PROGRAM 'id'; END $$",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT pg_read_binary_file('pg_hba.conf')",
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION citext",
        "CREATE DATABASE more",
        "CREATE ROLE friend LOGIN",
        "CREATE TABLE mine (a int)",
        "CREATE TEMP TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE items ADD COLUMN mine text",
        "DROP TABLE items",
        "TRUNCATE items",
        "CREATE INDEX ON items (price)",
        "CREATE TRIGGER t AFTER INSERT ON items EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SELECT rolpassword FROM pg_authid",
        "SELECT passwd FROM pg_shadow",
        "SELECT pg_reload_conf()",
        "ALTER SYSTEM SET shared_preload_libraries = 'x'",
        "SELECT setval('items_id_seq', 1)",
        "DELETE FROM archipel_migrations",
        "SELECT set_config('role', 'db_shop:owner', false)",
        "SELECT set_config('session_authorization', 'archipel', false)",
    ] {
        let outcome = pool.execute(denied, &[], soon()).await;
        assert!(outcome.is_err(), "{denied}");
        let state = sqlstate(outcome);
        assert!(["42501", "22023", "0A000"].contains(&state.as_str()), "{denied}: {state}");
    }
    // Only a warning, but nothing is given.
    pool.execute("GRANT ALL ON items TO PUBLIC", &[], soon()).await.unwrap();
    let public =
        "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = 'PUBLIC' AND table_name = 'items'";
    assert_eq!(shop.count(public).await, 0);
    let session = shop.superuser().await;
    let other: i32 = session.client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let kill = format!("SELECT pg_terminate_backend({other})");
    assert_eq!(sqlstate(pool.execute(&kill, &[], soon()).await), "42501");
    assert_eq!(pool.one("SELECT string_agg(name, ',') FROM items").await, text("kept"));
    shop.databases.stop().await;
}

#[tokio::test]
async fn a_reader_only_reads() {
    let shop = Shop::open().await;
    let pool = shop.reader();
    assert_eq!(pool.one("SELECT count(*) FROM items").await, Value::Int64(0));
    let insert = "INSERT INTO items (name) VALUES ('x')";
    assert_eq!(sqlstate(pool.execute(insert, &[], soon()).await), "25006");
    // Neither does it get out of the read-only transaction, which would matter with a URL's role.
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    let writable = "SELECT set_config('transaction_read_only', 'off', false)";
    assert_eq!(sqlstate(tx.query(writable, &[], soon()).await), "25001");
    assert!(matches!(pool.execute("DO $$ BEGIN END $$", &[], soon()).await, Err(Error::Refused(_))));
    assert_eq!(sqlstate(pool.execute("SELECT nextval('items_id_seq')", &[], soon()).await), "42501");
    // The rights alone refuse it too: this session was made writable from outside.
    let role = pool.role.as_ref().clone().with_settings("-c default_transaction_read_only=off");
    let session = role.connect(1 << 20).await.unwrap();
    let refused = session.client.execute(insert, &[]).await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.code()), Some("42501"));
    shop.databases.stop().await;
}

#[tokio::test]
async fn no_role_reaches_another_database_and_none_gets_in_without_its_password() {
    let place = place();
    let folder = DataFolder::open(&place.path().join("data")).unwrap();
    let databases = BTreeMap::from([(Arc::from("shop"), settings()), (Arc::from("other"), settings())]);
    let grants = [grant("writer", "shop", Mode::ReadWrite), grant("writer", "other", Mode::ReadWrite)];
    let databases =
        Databases::start(&databases, &grants, &std::collections::BTreeSet::new(), &folder, &environment(), &|_| {})
            .await
            .unwrap();

    let server = databases.server.as_ref().unwrap();
    let role = databases.pool(&grants[0]).unwrap().role.clone();
    for database in ["db_other", "postgres", "template1"] {
        let outcome = role.elsewhere(database).connect(1 << 20).await.err();
        assert_eq!(outcome, Some(ConnectError::Refused { sqlstate: "42501".to_owned() }), "{database}");
    }
    for role in ["db_shop:writer:rw", "db_shop:owner"] {
        let guessed = server.endpoint("db_shop", role, &Secret::new("guess".to_owned()));
        let outcome = guessed.connect(1 << 20).await.err();
        assert_eq!(outcome, Some(ConnectError::Refused { sqlstate: "28P01".to_owned() }));
    }
    assert!(!format!("{role:?}").contains("writer"));
    databases.stop().await;
}

/// What others than their owner may do with tables and sequences of the host.
const OPEN: &str = "SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a
                    WHERE c.relname LIKE 'archipel%' AND a.grantee <> c.relowner";

#[tokio::test]
async fn what_the_host_keeps_in_a_database_is_the_owners_from_the_beginning() {
    let shop = Shop::open().await;
    assert_eq!(shop.count(OPEN).await, 0);
    // Events from now on, and a migration that fails: what was made before it stays.
    let folder = migrations(shop._place.path(), &[("2.sql", "SELECT nonsense")]);
    let all = BTreeMap::from([(Arc::from("shop"), DatabaseSettings { migrations: Some(folder), ..settings() })]);
    let grants = [grant("writer", "shop", Mode::ReadWrite), grant("reader", "shop", Mode::Read)];
    let publishers = BTreeSet::from([Arc::from("writer")]);
    let refused = shop.databases.changed(&all, &grants, &publishers, &|_| {}).await.err().expect("no such column");
    assert!(matches!(refused, StartError::Migrate { .. }), "{refused}");
    assert_eq!(shop.count("SELECT count(*) FROM pg_class WHERE relname = 'archipel_outbox'").await, 1);
    assert_eq!(shop.count(OPEN).await, 0);
}

#[tokio::test]
async fn no_service_can_keep_hosts_from_migrating() {
    let shop = Shop::open().await;
    let held = shop.reader().begin(TxOptions::default(), soon()).await.unwrap();
    // The numbers that hosts once locked.
    for number in [i64::from_be_bytes(*b"archipel"), i64::from_be_bytes(*b"arch-box")] {
        held.query(&format!("SELECT pg_advisory_lock({number})"), &[], soon()).await.unwrap();
    }
    for pool in [shop.reader(), shop.writer()] {
        assert_eq!(sqlstate(pool.query("SELECT * FROM archipel_turns", &[], soon()).await), "42501");
    }
    let locking = shop.writer().query("SELECT 1 FROM archipel_turns FOR UPDATE", &[], soon()).await;
    assert_eq!(sqlstate(locking), "42501");
    migrations(shop._place.path(), &[("2.sql", "SELECT 1")]);
    let migrated = tokio::time::timeout(Duration::from_secs(30), shop.databases.migrate("shop")).await;
    assert_eq!(migrated.expect("nobody is waited for").unwrap(), 1);
    held.rollback(soon()).await.unwrap();
}
