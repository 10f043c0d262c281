//! The promises of this backend, kept against real, private PostgreSQL servers.

mod change;
mod decoding;
mod failover;
mod failures;
mod flush;
mod fuzz;
mod hostile;
mod leaks;
mod memory;
mod operators;
mod pooler;
mod proxy;
mod start;
mod statements;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{endpoint::Endpoint, *};
use crate::{
    embedded::{self, DataFolder, Environment},
    migrate::MigrateError,
};
use grant::{Grants, Mode, Permissions, Postgres};
use manifest::{DatabasePlace, DatabaseSettings, Secret, TlsMode};

/// A database `shop` with the schema of [`SCHEMA`]; `writer` may write it, `reader` may read it.
struct Shop {
    databases: Databases,
    folder: DataFolder,
    _place: tempfile::TempDir,
}

const SCHEMA: &str = "CREATE TABLE items (id serial PRIMARY KEY, name text UNIQUE NOT NULL, price numeric(10, 2), \
                      CONSTRAINT cheap CHECK (price < 1000));\n";

fn settings() -> DatabaseSettings {
    DatabaseSettings {
        place: DatabasePlace::Embedded,
        connections_max: NonZeroUsize::new(4).unwrap(),
        wait: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(10),
        rows_max: 1000,
        bytes_max: 1 << 20,
        migrations: None,
        optional: false,
    }
}

fn environment() -> Environment {
    Environment { path: std::env::var_os("PATH"), ..Environment::default() }
}

fn grant(service: &str, database: &str, mode: Mode) -> Granted<DatabaseGrant> {
    let grants = BTreeMap::from([(Arc::from(database), mode)]);
    Grants::new(
        Arc::from(service),
        PathBuf::from("shop.toml"),
        Permissions { postgres: Postgres(grants), ..Permissions::default() },
    )
    .postgres(database)
    .unwrap()
}

/// A folder that other accounts can pass through.
fn place() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    place
}

async fn start(folder: &DataFolder, settings: DatabaseSettings) -> Result<Databases, StartError> {
    let databases = BTreeMap::from([(Arc::from("shop"), settings)]);
    let grants = [grant("writer", "shop", Mode::ReadWrite), grant("reader", "shop", Mode::Read)];
    Databases::start(&databases, &grants, &BTreeSet::new(), folder, &environment(), &|_| {}).await
}

fn migrations(place: &Path, files: &[(&str, &str)]) -> PathBuf {
    let folder = place.join("migrations");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, sql) in files {
        std::fs::write(folder.join(name), sql).unwrap();
    }
    folder
}

impl Shop {
    async fn open() -> Self {
        Self::with(settings()).await
    }

    async fn with(settings: DatabaseSettings) -> Self {
        let place = place();
        let migrations = migrations(place.path(), &[("1.sql", SCHEMA)]);
        let folder = DataFolder::open(&place.path().join("data")).unwrap();
        embedded::fill(&folder, &environment()).await;
        let databases = start(&folder, DatabaseSettings { migrations: Some(migrations), ..settings }).await.unwrap();
        Self { databases, folder, _place: place }
    }

    fn writer(&self) -> Arc<Pool> {
        self.databases.pool(&grant("writer", "shop", Mode::ReadWrite)).unwrap()
    }

    fn reader(&self) -> Arc<Pool> {
        self.databases.pool(&grant("reader", "shop", Mode::Read)).unwrap()
    }

    /// A session above all roles, to look from outside.
    async fn superuser(&self) -> endpoint::Session {
        self.databases.server.as_ref().unwrap().as_superuser("db_shop").connect(1 << 20).await.unwrap()
    }

    async fn count(&self, sql: &str) -> i64 {
        self.superuser().await.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Waits until a count seen from outside is this.
    async fn becomes(&self, sql: &str, expected: i64) {
        let deadline = soon();
        loop {
            let count = self.count(sql).await;
            if count == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{sql} is {count}, not {expected}");
            tokio::task::yield_now().await;
        }
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Waits until a check is well, as on a busy machine one may be late; how long that one took.
async fn is_well(databases: &Databases) -> Duration {
    let deadline = soon();
    loop {
        match databases.check("shop").await {
            Ok(took) => return took,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn sqlstate<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Db(db)) => db.sqlstate,
        other => panic!("expected an error of the database, got {other:?}"),
    }
}

impl Pool {
    /// The first cell of the first row.
    async fn one(&self, sql: &str) -> Value {
        self.query(sql, &[], soon()).await.unwrap().rows[0][0].clone()
    }
}
