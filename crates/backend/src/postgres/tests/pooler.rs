//! PgBouncer between the host and a server.

use std::{
    os::unix::{fs::MetadataExt, process::CommandExt},
    process::{Child, Command, Stdio},
};

use super::{operators::Operators, *};

struct Bouncer {
    child: Child,
    port: u16,
    _place: tempfile::TempDir,
}

impl Bouncer {
    async fn start(server: &Operators, mode: &str, more: &str) -> Self {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].iter().find(|path| Path::new(path).exists());
        let program = program.expect("PgBouncer is installed; `scripts/setup.sh pooler` does that");
        let place = place();
        std::fs::write(place.path().join("users"), "\"boss\" \"hunter2\"\n").unwrap();
        let (file, owner) = (place.path().join("pgbouncer.ini"), std::fs::metadata(&server.cluster).unwrap());
        let deadline = soon();
        loop {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = format!(
                "[databases]\ndb_shop = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {}\npool_mode = {mode}\n\
                 default_pool_size = 8\nserver_tls_sslmode = require\n{more}\n",
                server.port,
                place.path().join("users").display(),
            );
            std::fs::write(&file, config).unwrap();
            let mut command = Command::new(program);
            command.arg("-q").arg(&file).uid(owner.uid()).gid(owner.gid()).current_dir("/");
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // Somebody else may have taken the port meanwhile.
            while child.try_wait().unwrap().is_none() {
                assert!(Instant::now() < deadline, "PgBouncer does not start");
                if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                    return Self { child, port, _place: place };
                }
                tokio::task::yield_now().await;
            }
        }
    }

    fn url(&self) -> Secret {
        Secret::new(format!("postgres://boss:hunter2@127.0.0.1:{}/db_shop?options=-c%20my.own=7", self.port))
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn behind_a_pooler_in_session_mode_all_is_as_without_it() {
    let server = Operators::start().await;
    // The second forgets what the first refuses.
    for more in ["", "ignore_startup_parameters = options"] {
        let bouncer = Bouncer::start(&server, "session", more).await;
        let databases = server.databases_at(bouncer.url(), Some(bouncer.url()), settings()).await.unwrap();
        let (writer, reader) = (Mode::ReadWrite, Mode::Read);
        let writer = databases.pool(&grant("writer", "shop", writer)).unwrap();
        for _ in 0..3 {
            assert_eq!(writer.one("SELECT current_setting('statement_timeout')").await, text("10s"), "{more}");
            assert_eq!(writer.one("SELECT current_setting('my.own')").await, text("7"), "{more}");
            writer.query("SELECT set_config('statement_timeout', '0', false)", &[], soon()).await.unwrap();
        }
        let reader = databases.pool(&grant("reader", "shop", reader)).unwrap();
        let insert = "INSERT INTO items (name) VALUES ('x')";
        assert_eq!(sqlstate(reader.execute(insert, &[], soon()).await), "25006", "{more}");
        is_well(&databases).await;
        databases.stop().await;
    }
}

#[tokio::test]
async fn a_pooler_in_another_mode_refuses_the_start() {
    let server = Operators::start().await;
    for mode in ["transaction", "statement"] {
        for more in ["", "ignore_startup_parameters = options", "default_pool_size = 1"] {
            let bouncer = Bouncer::start(&server, mode, more).await;
            let refused = server.databases_at(bouncer.url(), Some(bouncer.url()), settings()).await.err();
            let told = refused.as_ref().and_then(std::error::Error::source).map(ToString::to_string);
            assert!(
                matches!(refused, Some(StartError::Unreachable { source: ConnectError::Pooler, .. })),
                "{mode}, {more}: {told:?}"
            );
        }
    }
}
