//! PostgreSQL from outside: a look into a host's private server, and a server of a test's own.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, NoTls};

use super::{Host, free, place};

const PATIENCE: Duration = Duration::from_secs(60);

/// A session that looks from outside, above all roles.
pub struct Session {
    client: Client,
    runtime: Runtime,
}

impl Session {
    /// In a database of a host's private server, by the host's own way in.
    #[track_caller]
    pub fn inside(host: &Host, database: &str) -> Self {
        let known = postmaster(&host.data());
        let mut config = Config::new();
        config.host_path(&known[4]).user("archipel").dbname(format!("db_{database}"));
        Self::open(&config).expect("the host's way in")
    }

    pub fn open(config: &Config) -> Result<Self, tokio_postgres::Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            Ok(client)
        })?;
        Ok(Self { client, runtime })
    }

    #[track_caller]
    pub fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }

    /// The first cell.
    #[track_caller]
    pub fn count(&self, sql: &str) -> i64 {
        self.runtime.block_on(self.client.query_one(sql, &[])).unwrap_or_else(|error| panic!("{error:?}: {sql}")).get(0)
    }

    /// The first cell.
    #[track_caller]
    pub fn text(&self, sql: &str) -> String {
        self.runtime.block_on(self.client.query_one(sql, &[])).unwrap_or_else(|error| panic!("{error:?}: {sql}")).get(0)
    }

    /// Waits until a count is this, and says how long that took.
    #[track_caller]
    pub fn becomes(&self, sql: &str, expected: i64) -> Duration {
        let began = Instant::now();
        loop {
            let count = self.count(sql);
            if count == expected {
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "{sql} is {count}, not {expected}");
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// The lines of a private server's `postmaster.pid`: its pid first, its socket folder fifth.
#[track_caller]
pub fn postmaster(data: &Path) -> Vec<String> {
    let file = data.join("postgres/postmaster.pid");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().map(str::to_owned).collect()
}

/// A server of the test's own, as an operator would run one: TCP and TLS, passwords, a database
/// `shop` of a role `plain`, and a superuser `boss`.
pub struct Server {
    child: Child,
    port: u16,
    place: TempDir,
    account: Option<(u32, u32)>,
}

const PASSWORD: &str = "canary-password";

impl Server {
    #[track_caller]
    pub fn start() -> Self {
        let account = unprivileged();
        let place = place();
        let data = place.path().join("operators");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        let password = place.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        for path in [&data, &password] {
            own(path, account);
        }
        let mut initdb = program("initdb", account);
        initdb.arg("-D").arg(&data).arg("--pwfile").arg(&password);
        initdb.args(["-U", "boss", "-E", "UTF8", "--locale", "C", "-A", "scram-sha-256", "--no-sync"]);
        assert!(initdb.stdout(Stdio::null()).status().unwrap().success());

        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(place.path().join("roots.pem"), signed.cert.pem()).unwrap();
        let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(place.path().join("others.pem"), stranger.cert.pem()).unwrap();
        for (file, content) in [("server.crt", signed.cert.pem()), ("server.key", signed.signing_key.serialize_pem())] {
            let path = data.join(file);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            own(&path, account);
        }
        let port = free().port();
        let child = serve(&data, port, account);
        let server = Self { child, port, place, account };
        let boss = server.session("postgres");
        boss.run(&format!("CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'"));
        boss.run("CREATE DATABASE shop OWNER plain");
        server
    }

    /// A superuser's session, once the server takes one.
    #[track_caller]
    pub fn session(&self, database: &str) -> Session {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user("boss").password(PASSWORD).dbname(database);
        let began = Instant::now();
        loop {
            match Session::open(&config) {
                Ok(session) => return session,
                Err(error) => assert!(began.elapsed() < PATIENCE, "the server does not start: {error:?}"),
            }
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// `?…` may follow in `query`; `ROOTS` and `OTHERS` in it are the right and a wrong authority.
    pub fn url(&self, role: &str, query: &str) -> String {
        let file = |name: &str| self.place.path().join(name).display().to_string();
        let query = query.replace("ROOTS", &file("roots.pem")).replace("OTHERS", &file("others.pem"));
        format!("postgres://{role}:{PASSWORD}@localhost:{}/shop{query}", self.port)
    }

    /// What must never be seen in a log.
    pub fn secrets(&self) -> [String; 2] {
        [PASSWORD.to_owned(), self.port.to_string()]
    }

    pub fn stop(&mut self) {
        // SIGINT is PostgreSQL's "fast": sessions are ended, everything is written down.
        let status = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
        self.child.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        self.child = serve(&self.place.path().join("operators"), self.port, self.account);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been stopped by the test.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.stop();
        }
    }
}

fn serve(data: &Path, port: u16, account: Option<(u32, u32)>) -> Child {
    let mut command = program("postgres", account);
    command.arg("-D").arg(data).args(["-p", &port.to_string()]);
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "ssl=on", "fsync=off"] {
        command.arg("-c").arg(setting);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn program(name: &str, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(binaries().join(name));
    command.env_clear().current_dir("/").stdin(Stdio::null());
    if let Some((uid, gid)) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// The newest that the distribution has, or the one in PATH.
fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<_> = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file());
    found.pop().or(in_path).expect("PostgreSQL is installed: `just setup`")
}

/// PostgreSQL refuses to be root.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let found = ["postgres", "nobody"].iter().find_map(|name| Some((id(&["-u", name])?, id(&["-g", name])?)));
    Some(found.expect("an account without rights"))
}

fn own(path: &Path, account: Option<(u32, u32)>) {
    if let Some((uid, gid)) = account {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}
