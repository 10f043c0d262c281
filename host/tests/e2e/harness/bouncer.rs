//! PgBouncer between hosts and a server of a test's own.

use std::{
    fs,
    net::TcpStream,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{Session, external::account, free, place, until};

/// What it says, in its folder.
const LOG: &str = "log";

/// Ended with the test.
pub struct Bouncer {
    child: Child,
    program: &'static str,
    pub port: u16,
    folder: TempDir,
}

impl Bouncer {
    /// Before the databases of the server on that port, in this mode (`session`, `transaction`).
    pub fn before(server: u16, mode: &str) -> Self {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).exists());
        let program = program.expect("PgBouncer is installed; `scripts/setup.sh pooler` does that");
        let folder = place();
        let port = free().port();
        let (users, file) = (folder.path().join("users"), folder.path().join("pgbouncer.ini"));
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nadmin_users = shop\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 40\n\
             ignore_startup_parameters = options\n\
             # What is behind an address may change, and what goes silent is noticed.\n\
             server_lifetime = 2\nserver_login_retry = 1\nquery_timeout = 3\n",
            users.display()
        );
        fs::write(&users, "\"shop\" \"\"\n").unwrap();
        fs::write(&file, config).unwrap();
        if let Some((uid, gid)) = account() {
            [&users, &file].into_iter().for_each(|path| chown(path, Some(uid), Some(gid)).unwrap());
        }
        let child = spawn(program, folder.path());
        let bouncer = Self { child, program, port, folder };
        until("PgBouncer takes connections", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        bouncer
    }

    /// Starts it again if it has ended by itself, as whoever watches it would.
    pub fn watch(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let said = fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
            println!("PgBouncer ended by itself: {status}; it said: {said}");
            self.child = spawn(self.program, self.folder.path());
        }
    }

    /// Gives up its connections to servers, as an operator lets it after a failover.
    #[track_caller]
    pub fn reconnect(&self) {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user("shop").dbname("pgbouncer");
        until("PgBouncer has a console", || Session::open(&config).ok()).run("RECONNECT");
    }
}

fn spawn(program: &str, folder: &Path) -> Child {
    let mut command = Command::new(program);
    command.arg("-q").arg(folder.join("pgbouncer.ini")).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(fs::File::create(folder.join(LOG)).unwrap());
    if let Some((uid, gid)) = account() {
        command.uid(uid).gid(gid);
    }
    command.spawn().unwrap()
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        self.child.wait().unwrap();
    }
}
