//! A PostgreSQL server as an operator has one: reached by URL, started and stopped by the test.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{free, host::children, log::Log, shop::empty_folder};

/// A server on a port of its own with a role `shop` and databases `shop`, `products` and `orders`; ended with the test.
pub struct Postgres {
    port: u16,
    running: Option<(Child, Log)>,
    folder: TempDir,
}

impl Postgres {
    /// Makes the cluster and starts it. Its locale lower-cases ASCII only, as many servers' does.
    pub fn start() -> Self {
        let folder = empty_folder();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        if let Some((uid, gid)) = account() {
            chown(&data, Some(uid), Some(gid)).unwrap();
        }
        let mut initdb = program("initdb");
        initdb.args(["-U", "operator", "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync", "-D"]).arg(&data);
        assert!(initdb.stdout(Stdio::null()).status().unwrap().success(), "initdb");
        let port = free().port();
        let mut server = Self { port, running: None, folder };
        server.statement("CREATE ROLE shop LOGIN");
        server.statement("CREATE DATABASE shop OWNER shop");
        server.statement("CREATE DATABASE products OWNER shop");
        server.statement("CREATE DATABASE orders OWNER shop");
        server.resume();
        server
    }

    /// A line for `[postgres.NAME]`.
    pub fn url(&self) -> String {
        self.url_of("shop")
    }

    pub fn url_of(&self, database: &str) -> String {
        format!("url = \"postgres://shop@127.0.0.1:{}/{database}\"\ntls = \"disable\"", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops all of its processes without ending them, or lets them go on.
    pub fn freeze(&self, frozen: bool) {
        let id = self.running.as_ref().expect("runs").0.id();
        let signal = if frozen { "-STOP" } else { "-CONT" };
        // First who would start others.
        let all = [id.to_string()].into_iter().chain(children(id));
        all.for_each(|pid| _ = Command::new("kill").args([signal, &pid]).stderr(Stdio::null()).status());
    }

    /// Another server takes its place, with all of its data and on another port, while this one comes back as one
    /// that stands by.
    pub fn failed_over(&mut self) -> Self {
        self.kill();
        let folder = empty_folder();
        let (data, copy) = (self.folder.path().join("data"), folder.path().join("data"));
        assert!(Command::new("cp").arg("-a").arg(&data).arg(&copy).status().unwrap().success());
        std::fs::write(data.join("standby.signal"), "").unwrap();
        let port = free().port();
        let mut other = Self { port, running: None, folder };
        other.resume();
        self.resume();
        other
    }

    /// Ends it at once, in the middle of whatever it does.
    pub fn kill(&mut self) {
        let Some((mut server, _log)) = self.running.take() else { return };
        let sent = Command::new("kill").args(["-QUIT", &server.id().to_string()]).status();
        assert!(sent.unwrap().success());
        server.wait().unwrap();
    }

    /// Starts it again, on the port it had, and waits until it takes connections.
    pub fn resume(&mut self) {
        let mut command = program("postgres");
        command.arg("-D").arg(self.folder.path().join("data")).args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "log_statement=all"] {
            command.args(["-c", setting]);
        }
        let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::follow(server.stderr.take().unwrap());
        // Or "read-only connections", where it stands by.
        log.expect_line("ready to accept ");
        self.running = Some((server, log));
    }

    /// What it has logged since it was started, every statement among it.
    pub fn log(&self) -> String {
        self.running.as_ref().map(|(_, log)| log.text()).unwrap_or_default()
    }

    /// Runs one statement while the server is down.
    fn statement(&self, sql: &str) {
        let data = self.folder.path().join("data");
        let mut command = program("postgres");
        command.arg("--single").arg("-D").arg(data).arg("postgres").stdout(Stdio::null()).stderr(Stdio::null());
        let mut single = command.stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut single.stdin.take().unwrap(), format!("{sql}\n").as_bytes()).unwrap();
        assert!(single.wait().unwrap().success(), "{sql}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of PostgreSQL, under an account that is not root's.
fn program(name: &str) -> Command {
    let mut command = Command::new(folder().join(name));
    command.env_clear().env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
    if let Some((uid, gid)) = account() {
        command.uid(uid).gid(gid);
    }
    command
}

fn folder() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let distributions = versions.map(|version| version.path().join("bin"));
    let has_both = |folder: &PathBuf| folder.join("postgres").is_file() && folder.join("initdb").is_file();
    std::env::split_paths(&path).chain(distributions).find(has_both).expect("PostgreSQL is installed")
}

/// Whom to run as instead of root; none for anybody else.
pub(super) fn account() -> Option<(u32, u32)> {
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(Path::new("/proc/self")).unwrap()) == 0;
    root.then(|| ["postgres", "nobody"].into_iter().find_map(|name| Some((id("-u", name)?, id("-g", name)?))))
        .map(|found| found.expect("an account `postgres` or `nobody`"))
}

fn id(option: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([option, name]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
