use super::*;

async fn begin(place: &Path, files: &[(&str, &str)]) -> Result<Databases, StartError> {
    let migrations = migrations(place, files);
    let deadline = soon();
    // A process that another test is just starting may hold the folder's lock until it runs.
    let folder = loop {
        match DataFolder::open(&place.join("data")) {
            Ok(folder) => break folder,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    start(&folder, DatabaseSettings { migrations: Some(migrations), ..settings() }).await
}

async fn names(databases: &Databases) -> Value {
    databases.pool(&grant("reader", "shop", Mode::Read)).unwrap().one("SELECT string_agg(name, ',') FROM items").await
}

#[tokio::test]
async fn migrations_run_once_in_order_and_history_is_never_rewritten() {
    let place = place();
    let first = ("1.sql", SCHEMA);
    let databases = begin(place.path(), &[first]).await.unwrap();
    let writer = databases.pool(&grant("writer", "shop", Mode::ReadWrite)).unwrap();
    writer.execute("INSERT INTO items (name) VALUES ('kept')", &[], soon()).await.unwrap();
    databases.stop().await;

    // A later table is covered by the rights of the services.
    let second = ("2.sql", "CREATE TABLE notes AS SELECT name FROM items;");
    let databases = begin(place.path(), &[first, second]).await.unwrap();
    assert_eq!(names(&databases).await, text("kept"));
    let reader = databases.pool(&grant("reader", "shop", Mode::Read)).unwrap();
    assert_eq!(reader.one("SELECT name FROM notes").await, text("kept"));
    databases.stop().await;

    let third = ("3.sql", "CREATE TABLE half (a int);\nINSERT INTO half VALUES (1);\nSELECT nonsense;");
    let error = begin(place.path(), &[first, second, third]).await.err().unwrap();
    let StartError::Migrate { source, .. } = &error else { panic!("{error}") };
    assert!(source.to_string().ends_with("3.sql` failed at line 3: column \"nonsense\" does not exist"), "{source}");
    std::fs::remove_file(place.path().join("migrations/3.sql")).unwrap();

    let changed = ("1.sql", "SELECT 1;");
    let error = begin(place.path(), &[changed, second]).await.err().unwrap();
    assert!(matches!(error, StartError::Migrate { source: MigrateError::Changed { .. }, .. }));
    let databases = begin(place.path(), &[first, second]).await.unwrap();
    assert_eq!(
        sqlstate(
            databases
                .pool(&grant("reader", "shop", Mode::Read))
                .unwrap()
                .query("SELECT * FROM half", &[], soon())
                .await
        ),
        "42P01"
    );
    databases.stop().await;
}

#[test]
fn a_server_that_a_killed_host_left_behind_is_stopped_and_its_data_served() {
    let place = place();
    let files = [("1.sql", SCHEMA)];
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A runtime that nobody turns any more is as good as a killed host.
    let killed = runtime();
    let databases = killed.block_on(begin(place.path(), &files)).unwrap();
    let left = std::fs::read_to_string(place.path().join("data/postgres/postmaster.pid")).unwrap();
    std::mem::forget((databases, killed));

    runtime().block_on(async {
        let databases = begin(place.path(), &files).await.unwrap();
        assert_eq!(names(&databases).await, Value::Null);
        let now = std::fs::read_to_string(place.path().join("data/postgres/postmaster.pid")).unwrap();
        assert_ne!(left.lines().next(), now.lines().next());
        assert!(!Path::new(left.lines().nth(4).unwrap()).exists(), "its socket folder is gone");
        databases.stop().await;
        assert!(!Path::new(now.lines().nth(4).unwrap()).exists());
    });
}

#[tokio::test]
async fn what_a_start_needs_and_does_not_find_is_named() {
    let place = place();
    let folder = DataFolder::open(&place.path().join("data")).unwrap();
    let environment = Environment { postgres: Some(PathBuf::from("/nowhere")), ..Environment::default() };
    let databases = BTreeMap::from([(Arc::from("shop"), settings())]);
    let error = Databases::start(&databases, &[], &std::collections::BTreeSet::new(), &folder, &environment, &|_| {})
        .await
        .err()
        .unwrap();
    let StartError::Server(source) = &error else { panic!("{error}") };
    assert!(source.to_string().contains("`/nowhere`"), "{source}");
}

#[tokio::test]
async fn an_optional_server_that_is_away_is_migrated_later_and_any_other_is_an_error() {
    let shop = Shop::open().await;
    shop.databases.stop().await;
    let refused = shop.databases.migrate("shop").await;
    assert!(matches!(refused, Err(StartError::Migrate { source: MigrateError::Connect(_), .. })), "{refused:?}");

    let place = place();
    let files = [("1.sql", SCHEMA)];
    let folder = DataFolder::open(&place.path().join("data")).unwrap();
    let url = Secret::new("postgres://nobody@127.0.0.1:1/nowhere".to_owned());
    let away = DatabaseSettings {
        place: DatabasePlace::External { url_read: Some(url.clone()), url, tls: TlsMode::Prefer, schema: None },
        migrations: Some(migrations(place.path(), &files)),
        optional: true,
        ..settings()
    };
    let databases = start(&folder, away).await.unwrap();
    assert_eq!(databases.migrate("shop").await.unwrap(), 0);
    std::fs::remove_dir_all(place.path().join("migrations")).unwrap();
    let refused = databases.migrate("shop").await;
    assert!(matches!(refused, Err(StartError::Migrate { source: MigrateError::Files(_), .. })), "{refused:?}");
}

#[tokio::test]
async fn a_migration_leaves_nothing_to_the_next_one_and_fails_with_the_servers_own_words() {
    let place = place();
    // As every dump begins.
    let first =
        ("1.sql", "\u{feff}CREATE SCHEMA other; SET search_path = other; SET default_transaction_read_only = on;");
    let second = ("2.sql", "CREATE TABLE items (name text UNIQUE)");
    let undone = ("2.down.sql", "DROP TABLE items");
    let databases = begin(place.path(), &[first, second, undone]).await.unwrap();
    assert_eq!(names(&databases).await, Value::Null, "it is where it was meant to be, and still there");
    databases.stop().await;

    let third = ("3.sql", "\nINSERT INTO items VALUES ('a');\nINSERT INTO items VALUES ('a');");
    let error = begin(place.path(), &[first, second, third]).await.err().unwrap();
    let StartError::Migrate { source, .. } = &error else { panic!("{error}") };
    let told = source.to_string();
    assert!(told.contains("3.sql` failed: duplicate key"), "no line is better than a wrong one: {told}");
    assert!(told.ends_with("detail: Key (name)=(a) already exists."), "{told}");
}

#[tokio::test]
async fn data_that_is_thrown_away_is_a_copy_of_what_was_made_once() {
    let place = place();
    let kept = place.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let environment = Environment { passing: Some(kept.clone()), ..environment() };
    let began = async |name: &str| {
        let folder = DataFolder::open(&place.path().join(name)).unwrap();
        let databases = BTreeMap::from([(Arc::from("shop"), settings())]);
        let started =
            Databases::start(&databases, &[], &std::collections::BTreeSet::new(), &folder, &environment, &|_| {}).await;
        started.unwrap().stop().await;
        std::fs::read(folder.path().join("postgres/global/pg_control")).unwrap()[..8].to_vec()
    };
    let identifier = began("first").await;
    let made_with = kept.join("postgres-pattern/made-with");
    let written = std::fs::read_to_string(&made_with).unwrap();
    assert_eq!(began("second").await, identifier, "a cluster's identifier says which one it was copied of");
    std::fs::write(&made_with, "another version").unwrap();
    assert_ne!(began("third").await, identifier, "of another version it is made anew");
    assert_eq!(std::fs::read_to_string(&made_with).unwrap(), written);
    let left: Vec<_> = std::fs::read_dir(&kept).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["postgres-pattern"]);
}
