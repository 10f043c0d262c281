//! Redis from outside: a server of a test's own, on a free port, and a host's private one.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{free, until};

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "canary-redis-password";

/// A server as an operator would run one: TCP and a password. It keeps nothing on disk.
pub struct Redis {
    child: Option<Child>,
    port: u16,
    /// One that gets a replica writes its data down for that; another must not begin with it.
    folder: TempDir,
}

impl Redis {
    #[track_caller]
    pub fn start() -> Self {
        let port = free().port();
        let mut redis = Self { child: None, port, folder: tempfile::tempdir().unwrap() };
        redis.start_again();
        redis
    }

    /// On the same port, with nothing in it; waits until it answers.
    #[track_caller]
    pub fn start_again(&mut self) {
        let _ = fs::remove_file(self.folder.path().join("dump.rdb"));
        let mut command = Command::new(std::env::var_os("ARCHIPEL_REDIS").unwrap_or_else(|| "redis-server".into()));
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.arg("--dir").arg(self.folder.path());
        command.args(["--requirepass", PASSWORD]).stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let began = Instant::now();
        while !answers(self.port) {
            assert!(began.elapsed() < PATIENCE, "the Redis does not start");
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    pub fn url(&self) -> String {
        self.url_by(self.port)
    }

    /// The same where another port leads to it.
    pub fn url_by(&self, port: u16) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{port}/3")
    }

    /// What the server says to one command, as it is on the wire.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> String {
        let mut said = Vec::new();
        for command in [&["AUTH", PASSWORD][..], &["SELECT", "3"], words, &["QUIT"]] {
            said.extend(format!("*{}\r\n", command.len()).bytes());
            said.extend(command.iter().flat_map(|word| format!("${}\r\n{word}\r\n", word.len()).into_bytes()));
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&said).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.strip_prefix("+OK\r\n+OK\r\n").and_then(|answer| answer.strip_suffix("+OK\r\n")).unwrap().to_owned()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Another server takes its place with all of its data, while this one goes on as its replica.
    #[track_caller]
    pub fn failed_over(&self) -> Self {
        let other = Self::start();
        for server in [self, &other] {
            server.command(&["CONFIG", "SET", "masterauth", PASSWORD]);
            server.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
        }
        other.command(&["REPLICAOF", "127.0.0.1", &self.port.to_string()]);
        until("the other one has all of it", || {
            other.command(&["INFO", "replication"]).contains("master_link_status:up")
        });
        // It waits until the other one has what came meanwhile, once it has heard of it: that is a moment after the other
        // one's word.
        until("it gives way", || {
            self.command(&["FAILOVER", "TO", "127.0.0.1", &other.port.to_string()]).starts_with("+OK")
        });
        until("it is a replica", || self.command(&["INFO", "replication"]).contains("role:slave"));
        until("the other one is not", || other.command(&["INFO", "replication"]).contains("role:master"));
        other
    }

    /// What must never be seen in a log.
    pub fn secret(&self) -> &'static str {
        PASSWORD
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops it without ending it, or lets it go on.
    #[track_caller]
    pub fn freeze(&self, frozen: bool) {
        let id = self.child.as_ref().expect("runs").id().to_string();
        let signal = if frozen { "-STOP" } else { "-CONT" };
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn answers(port: u16) -> bool {
    let exchange = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(format!("AUTH {PASSWORD}\r\n").as_bytes())?;
        let mut answer = [0; 3];
        stream.read_exact(&mut answer).map(|()| answer == *b"+OK")
    };
    exchange().unwrap_or(false)
}

/// The pid of a host's private server.
#[track_caller]
pub fn redis_pid(data: &Path) -> String {
    let file = data.join("redis/redis.pid");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.trim().to_owned()
}
