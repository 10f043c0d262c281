use std::{
    os::unix::{fs::MetadataExt, process::CommandExt},
    process::{Child, Command, Stdio},
};

use super::*;

/// An operator's server: TCP with TLS and passwords only, on the data of a [`Shop`].
pub(super) struct Operators {
    child: Child,
    pub(super) port: u16,
    roots: PathBuf,
    place: tempfile::TempDir,
    program: PathBuf,
    pub(super) cluster: PathBuf,
}

impl Operators {
    pub(super) async fn start() -> Self {
        let shop = Shop::open().await;
        let roles = "CREATE ROLE plain LOGIN PASSWORD 'hunter2'; GRANT ALL ON DATABASE db_shop TO plain; \
                     GRANT ALL ON SCHEMA public TO plain; CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'hunter2'";
        shop.superuser().await.client.batch_execute(roles).await.unwrap();
        let cluster = shop.folder.path().join("postgres");
        let command = std::fs::read_to_string(cluster.join("postmaster.opts")).unwrap();
        let program = command.split(' ').next().unwrap().to_owned();
        shop.databases.stop().await;

        let owner = std::fs::metadata(&cluster).unwrap();
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let roots = shop._place.path().join("roots.pem");
        std::fs::write(&roots, signed.cert.pem()).unwrap();
        for (file, content) in [("server.crt", signed.cert.pem()), ("server.key", signed.signing_key.serialize_pem())] {
            let path = cluster.join(file);
            std::fs::write(&path, content).unwrap();
            std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        std::fs::write(cluster.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n").unwrap();
        let mut server = Self::launch(program.into(), cluster, roots, shop._place);
        server.is_up().await;
        server
    }

    fn launch(program: PathBuf, cluster: PathBuf, roots: PathBuf, place: tempfile::TempDir) -> Self {
        let (child, port) = Self::run(&program, &cluster);
        Self { child, port, roots, place, program, cluster }
    }

    fn run(program: &Path, cluster: &Path) -> (Child, u16) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let owner = std::fs::metadata(cluster).unwrap();
        let mut command = Command::new(program);
        command.env_clear().current_dir("/").uid(owner.uid()).gid(owner.gid()).arg("-D").arg(cluster);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "ssl=on", "fsync=off"] {
            command.arg("-c").arg(setting);
        }
        command.arg("-c").arg(format!("port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        (command.spawn().unwrap(), port)
    }

    async fn is_up(&mut self) {
        let deadline = soon() + soon().saturating_duration_since(Instant::now());
        while self.connect("boss", "", TlsMode::Prefer).await.is_err() {
            assert!(Instant::now() < deadline, "the server does not start");
            // Somebody else may have taken the port meanwhile.
            if self.child.try_wait().unwrap().is_some() {
                (self.child, self.port) = Self::run(&self.program, &self.cluster);
            }
            tokio::task::yield_now().await;
        }
    }

    /// A server, and another one that stands by with the same data and takes no writes.
    pub(super) async fn with_standby() -> (Self, Self) {
        let mut primary = Self::start().await;
        assert!(Command::new("kill").args(["-INT", &primary.child.id().to_string()]).status().unwrap().success());
        primary.child.wait().unwrap();
        let place = place();
        let cluster = place.path().join("standby");
        assert!(Command::new("cp").arg("-a").arg(&primary.cluster).arg(&cluster).status().unwrap().success());
        std::fs::write(cluster.join("standby.signal"), "").unwrap();
        let mut standby = Self::launch(primary.program.clone(), cluster, primary.roots.clone(), place);
        let place = std::mem::replace(&mut primary.place, tempfile::tempdir().unwrap());
        let (program, cluster, roots) = (primary.program.clone(), primary.cluster.clone(), primary.roots.clone());
        let mut primary = Self::launch(program, cluster, roots, place);
        primary.is_up().await;
        standby.is_up().await;
        (primary, standby)
    }

    fn url(&self, role: &str, query: &str) -> Secret {
        Secret::new(format!("postgres://{role}:hunter2@localhost:{}/db_shop{query}", self.port))
    }

    async fn connect(&self, role: &str, query: &str, tls: TlsMode) -> Result<endpoint::Session, ConnectError> {
        Endpoint::from_url(&self.url(role, query), tls).unwrap().connect(1 << 20).await
    }

    async fn databases(&self, role: &str, url_read: Option<Secret>) -> Result<Databases, StartError> {
        self.databases_at(self.url(role, ""), url_read, settings()).await
    }

    /// `writer` and `reader` at this URL, which leads here.
    pub(super) async fn databases_at(
        &self,
        url: Secret,
        url_read: Option<Secret>,
        settings: DatabaseSettings,
    ) -> Result<Databases, StartError> {
        let place = DatabasePlace::External { url, url_read, tls: TlsMode::Prefer, schema: None };
        let folder = DataFolder::open(&self.place.path().join("hosts")).unwrap();
        start(&folder, DatabaseSettings { place, migrations: Some(migrations(self.place.path(), &[])), ..settings })
            .await
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        // It may have been stopped by the test.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_url_is_used_with_the_tls_that_was_asked_for() {
    let server = Operators::start().await;
    assert!(server.connect("plain", "", TlsMode::Disable).await.is_err(), "the server wants TLS");
    assert!(server.connect("plain", "", TlsMode::Prefer).await.is_ok());
    assert!(server.connect("plain", "", TlsMode::Require).await.is_err(), "nobody vouches for this certificate");
    let roots = format!("?sslrootcert={}", server.roots.display());
    let session = server.connect("plain", &roots, TlsMode::Require).await.unwrap();
    let row = session.client.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await.unwrap();
    assert!(row.get::<_, bool>(0));
}

#[tokio::test]
async fn an_operators_server_is_served_cancelled_and_spoken_well_of() {
    let server = Operators::start().await;
    std::fs::remove_file(server.place.path().join("migrations/1.sql")).unwrap();
    std::fs::write(server.place.path().join("migrations/1.sql"), SCHEMA).unwrap();
    let error = server.databases("nobody", None).await.err().unwrap();
    assert!(matches!(error, StartError::Unreachable { .. }));
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hunter2") && !shown.contains(&server.port.to_string()), "{shown}");

    let error = server.databases("boss", None).await.err().unwrap();
    assert!(matches!(error, StartError::NoReader { .. }), "a reader never gets the role that writes: {error}");

    let boss = server.databases("boss", Some(server.url("boss", ""))).await.unwrap();
    assert!(boss.warnings()[0].contains("superuser"), "{:?}", boss.warnings());
    let pool = boss.pool(&grant("writer", "shop", Mode::ReadWrite)).unwrap();
    let cut = Instant::now() + Duration::from_millis(200);
    assert_eq!(pool.query("SELECT pg_sleep(30)", &[], cut).await, Err(Error::Timeout));
    let active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()";
    let deadline = soon();
    while pool.one(active).await != Value::Int64(0) {
        assert!(Instant::now() < deadline, "still running on the server");
    }
    // A role that may write after all is in a read-only session at least.
    let reader = boss.pool(&grant("reader", "shop", Mode::Read)).unwrap();
    assert_eq!(sqlstate(reader.execute("INSERT INTO items (name) VALUES ('x')", &[], soon()).await), "25006");
    boss.stop().await;
}

#[tokio::test]
async fn a_database_that_came_from_a_private_server_is_an_operators_from_its_first_start() {
    use crate::outbox::{Terms, Writers};
    let server = Operators::start().await;
    let endpoint = || Endpoint::from_url(&server.url("boss", ""), TlsMode::Prefer).unwrap();
    let private = BTreeMap::from([("plain".to_owned(), Arc::from("writer"))]);
    Terms::new(endpoint(), Writers::Roles(private)).prepare().await.unwrap();
    let by_roles = "SELECT prosrc LIKE '%session_user%' FROM pg_proc WHERE proname = 'archipel_publish'";
    let session = endpoint().connect(1 << 20).await.unwrap();
    assert!(session.client.query_one(by_roles, &[]).await.unwrap().get::<_, bool>(0));
    // A role that may not replace it is told so.
    let stranger = Endpoint::from_url(&server.url("plain", ""), TlsMode::Prefer).unwrap();
    let refused = Terms::new(stranger, Writers::Shared).prepare().await.unwrap_err();
    let told = format!("{refused} {refused:?}");
    assert!(told.contains("archipel_") && !told.contains("hunter2"), "{told}");
    Terms::new(endpoint(), Writers::Shared).prepare().await.unwrap();
    assert!(!session.client.query_one(by_roles, &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test]
async fn a_host_that_vanishes_while_it_migrates_is_given_up_by_the_server() {
    let server = Operators::start().await;
    let seen = "CREATE TABLE seen AS SELECT name, setting FROM pg_settings
                WHERE name LIKE 'tcp_%' OR name = 'idle_in_transaction_session_timeout'";
    // What a file sets is over with it.
    let files =
        [("2.sql", "SET tcp_keepalives_idle = 7000; SET idle_in_transaction_session_timeout = 0"), ("3.sql", seen)];
    migrations(server.place.path(), &files);
    let databases = server.databases("boss", Some(server.url("boss", ""))).await.unwrap();
    let pool = databases.pool(&grant("writer", "shop", Mode::ReadWrite)).unwrap();
    let told = pool.one("SELECT string_agg(name || ' ' || setting, ', ' ORDER BY name) FROM seen").await;
    let expected = "idle_in_transaction_session_timeout 60000, tcp_keepalives_count 3, tcp_keepalives_idle 20, \
                    tcp_keepalives_interval 10, tcp_user_timeout 30000";
    assert_eq!(told, text(expected));
    databases.stop().await;
}

/// As docs/postgres.md has it.
#[tokio::test]
async fn a_private_database_moves_to_an_operators_server_by_the_documented_dump() {
    use crate::outbox::{Terms, Writers};
    let (shop, server) = (Shop::open().await, Operators::start().await);
    shop.writer().execute("INSERT INTO items (name) VALUES ('kept')", &[], soon()).await.unwrap();
    let private = shop.databases.server.as_ref().unwrap().as_superuser("db_shop");
    let roles = BTreeMap::from([("db_shop:writer:rw".to_owned(), Arc::from("writer"))]);
    Terms::new(private, Writers::Roles(roles)).prepare().await.unwrap();
    let above = server.connect("boss", "", TlsMode::Prefer).await.unwrap();
    above.client.batch_execute("CREATE DATABASE moved OWNER plain").await.unwrap();

    let lines = std::fs::read_to_string(shop.folder.path().join("postgres/postmaster.pid")).unwrap();
    let url = format!("postgres://plain:hunter2@localhost:{}/moved", server.port);
    let (program, dump) = (|name| server.program.with_file_name(name), server.place.path().join("shop.sql"));
    let mut dumping = Command::new(program("pg_dump"));
    dumping.args(["--no-owner", "--no-privileges", "-h", lines.lines().nth(4).unwrap(), "-U", "archipel", "db_shop"]);
    assert!(dumping.stdout(std::fs::File::create(&dump).unwrap()).status().unwrap().success());
    let mut reading = Command::new(program("psql"));
    reading.args(["-v", "ON_ERROR_STOP=1", "-1", "-q", "-f"]).arg(&dump).arg(&url).stdout(Stdio::null());
    assert!(reading.status().unwrap().success());

    migrations(server.place.path(), &[("1.sql", SCHEMA), ("2.sql", "ALTER TABLE items ADD colour text")]);
    let url = Secret::new(url);
    let databases = server.databases_at(url.clone(), Some(url.clone()), settings()).await.unwrap();
    let pool = databases.pool(&grant("writer", "shop", Mode::ReadWrite)).unwrap();
    assert_eq!(pool.one("SELECT string_agg(name, ',') FROM items WHERE colour IS NULL").await, text("kept"));
    let endpoint = Endpoint::from_url(&url, TlsMode::Prefer).unwrap();
    Terms::new(endpoint, Writers::Shared).prepare().await.unwrap();
    let by_roles = "SELECT prosrc LIKE '%session_user%' FROM pg_proc WHERE proname = 'archipel_publish'";
    assert_eq!(pool.one(by_roles).await, Value::Bool(false));
    databases.stop().await;
}
