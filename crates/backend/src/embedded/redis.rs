//! One private Redis process for all names without a URL, from start to stop.
//!
//! It belongs to the host: started with it, started again if it dies, stopped with it, and ended when the
//! host is killed. One that was left behind all the same is stopped first. What is written is in its append-only file within a
//! second, or at once when that is asked for.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{Child, Command},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{
    DataFolder, Environment,
    account::Account,
    binaries::{self, BinariesError},
    entry::Entry,
    log::{self, LastLines},
    numbers::DATABASES,
    private::{self, PrivateError, ended_by},
};
use crate::leash::{Ending, Leash};
use rustix::process::Signal;

/// Reading back a large append-only file takes its time.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// A server that dies is started again after this long.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
/// After this it is killed; what it wrote down a second before is kept.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(1);
const ENDING: [&str; 2] = ["TERM", "KILL"];
const ENDING_SECONDS: u32 = 10;

const SOCKET: &str = "redis.sock";
const PID_FILE: &str = "redis.pid";
/// In the data folder, which is the host's: the socket folder of the last start.
const SOCKET_FILE: &str = "redis.socket";

/// How a private server runs.
#[derive(Debug, Clone, Copy)]
pub struct Private {
    /// Nothing is acknowledged before it is on the disk, rather than within a second.
    pub fsync_always: bool,
    /// Of all names together; what is over it is refused. Its file on the disk is three times as large at most.
    pub memory_max_bytes: u64,
}

/// A running private Redis. Dropping it kills the process; what it wrote down is kept.
pub struct Server {
    socket: PathBuf,
    /// Nothing is acknowledged before it is on the disk; also by a process that is started again.
    fsync_always: Arc<AtomicBool>,
    stop: Mutex<Option<oneshot::Sender<Instant>>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    #[error(transparent)]
    Private(#[from] PrivateError),
    #[error("no account to run Redis under")]
    Account(#[source] io::Error),
    #[error("cannot run `{program}`")]
    Run {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "a Redis (pid {pid}) of an earlier host still runs on `{folder}` and does not stop; end it and start again"
    )]
    Left { pid: u32, folder: PathBuf },
    #[error("Redis did not start; its last words: {0}")]
    Died(String),
    #[error("Redis was not ready within {} s", START_TIMEOUT.as_secs())]
    NotReady,
    #[error("Redis does not write each change to the disk at once: {0}")]
    Sync(String),
}

impl Server {
    /// Starts the server and waits until it has read its data back.
    pub async fn start(data: &DataFolder, environment: &Environment, private: Private) -> Result<Self, ServerError> {
        let folder = data.path().join("redis");
        let account = Account::choose("redis", &folder).map_err(ServerError::Account)?;
        let program = binaries::redis(environment)?;
        if !folder.exists() {
            private::make(&folder, &account)?;
        }
        let note = data.path().join(SOCKET_FILE);
        end_left_behind(&folder, &note).await?;
        let entry = Entry::find(&folder, &account).await?;
        let sockets = private::socket_folder(environment.runtime.as_deref(), &account)?;
        private::write(&note, sockets.as_os_str().as_encoded_bytes()).map_err(private::writing(&note))?;
        let socket = sockets.join(SOCKET);
        let Private { fsync_always, memory_max_bytes } = private;
        let fsync_always = Arc::new(AtomicBool::new(fsync_always));
        let launch = Launch { program, account, entry, sockets, fsync_always: fsync_always.clone(), memory_max_bytes };
        let running = launch.launch_until_ready().await?;
        let (stop, stopping) = oneshot::channel();
        let keeper = tokio::spawn(launch.keep(running, stopping));
        Ok(Self { socket, fsync_always, stop: Mutex::new(Some(stop)), keeper: Mutex::new(Some(keeper)) })
    }

    /// Writes everything down, ends the process and waits for that. A second call does nothing.
    pub async fn stop(&self) {
        self.stop_by(Instant::now() + STOP_TIMEOUT).await;
    }

    /// The same; a process that takes longer is killed then.
    pub async fn stop_by(&self, until: Instant) {
        let until = until.min(Instant::now() + STOP_TIMEOUT);
        let keeper = lock(&self.keeper).take();
        // The keeper is gone only if the runtime ends, and the process with it.
        let _ = lock(&self.stop).take().map(|stop| stop.send(until));
        if let Some(keeper) = keeper {
            let _ = keeper.await;
        }
    }

    /// From now on nothing is acknowledged before it is on the disk.
    pub(crate) async fn fsync_always(&self) -> Result<(), ServerError> {
        // Before it is said: one that dies now starts so.
        self.fsync_always.store(true, Relaxed);
        match say(&self.socket, "CONFIG SET appendfsync always").await {
            Ok(answer) if answer.starts_with("+OK") => Ok(()),
            Ok(answer) => Err(ServerError::Sync(answer.trim_end().to_owned())),
            Err(error) => Err(ServerError::Sync(error.to_string())),
        }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(keeper) = lock(&self.keeper).take() {
            keeper.abort();
        }
    }
}

/// Everything that is needed to start it, again and again.
struct Launch {
    program: PathBuf,
    account: Account,
    entry: Entry,
    sockets: PathBuf,
    fsync_always: Arc<AtomicBool>,
    memory_max_bytes: u64,
}

struct Running {
    child: Child,
    last_lines: LastLines,
    /// Dropped after the child.
    _leash: Leash,
}

impl Launch {
    /// Watches over the process until it shall stop, also while it does not start again.
    async fn keep(self, mut running: Running, mut stopping: oneshot::Receiver<Instant>) {
        loop {
            tokio::select! {
                until = &mut stopping => return stop(running, until.unwrap_or_else(|_gone| Instant::now())).await,
                status = running.child.wait() => tracing::error!(?status, "the private Redis ended; starting it again"),
            }
            drop(running);
            running = tokio::select! {
                // Dropping the other branch kills what it has started.
                _ = &mut stopping => return,
                running = self.launch_again() => running,
            };
        }
    }

    async fn launch_again(&self) -> Running {
        loop {
            tokio::time::sleep(RESTART_PAUSE).await;
            match self.launch_until_ready().await {
                Ok(running) => return running,
                Err(error) => tracing::error!(%error, "the private Redis does not start"),
            }
        }
    }

    async fn launch_until_ready(&self) -> Result<Running, ServerError> {
        let deadline = Instant::now() + START_TIMEOUT;
        let mut running = self.launch()?;
        while Instant::now() < deadline {
            // While it reads its file back it answers, but not with this.
            if say(&self.socket(), "PING").await.is_ok_and(|answer| answer.starts_with("+PONG")) {
                return Ok(running);
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
                _ = running.child.wait() => return Err(ServerError::Died(running.last_lines.joined())),
            }
        }
        Err(ServerError::NotReady)
    }

    fn launch(&self) -> Result<Running, ServerError> {
        let mut command: Command = self.entry.command(&self.program, &self.account);
        command.args(["--unixsocketperm", "700", "--dir"]).arg(self.entry.name());
        command.arg("--unixsocket").arg(self.socket());
        command.args(["--databases", &DATABASES.to_string()]);
        command.args(["--appendfsync", if self.fsync_always.load(Relaxed) { "always" } else { "everysec" }]);
        command.args(["--maxmemory", &self.memory_max_bytes.to_string()]);
        for (name, value) in SETTINGS {
            command.args([name, value]);
        }
        // A group of its own: ctrl-C in a terminal is for the host, which stops it in order.
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let ending = Ending {
            signals: &ENDING,
            patience_seconds: ENDING_SECONDS,
            litter: self.sockets.clone(),
            ..Ending::default()
        };
        let spawned = Leash::spawn(&mut command, self.account.shell(), &ending);
        let (mut child, leash) =
            spawned.map_err(|source| ServerError::Run { program: self.program.clone(), source })?;
        let last_lines = LastLines::default();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(log::forward(stdout, last_lines.clone(), |line| tracing::debug!(target: "redis", "{line}")));
        }
        Ok(Running { child, last_lines, _leash: leash })
    }

    fn socket(&self) -> PathBuf {
        self.sockets.join(SOCKET)
    }
}

const SETTINGS: [(&str, &str); 14] = [
    ("--port", "0"),
    ("--protected-mode", "yes"),
    ("--daemonize", "no"),
    ("--pidfile", PID_FILE),
    ("--logfile", ""),
    ("--loglevel", "notice"),
    ("--always-show-logo", "no"),
    ("--save", ""),
    ("--appendonly", "yes"),
    // Full is an error for whoever writes: nothing is ever thrown away to make room.
    ("--maxmemory-policy", "noeviction"),
    ("--timeout", "0"),
    // Written anew when it has doubled: what it takes of the disk is bounded by what is in memory.
    ("--auto-aof-rewrite-percentage", "100"),
    ("--auto-aof-rewrite-min-size", "16mb"),
    ("--tcp-backlog", "128"),
];

impl Drop for Launch {
    fn drop(&mut self) {
        // Litter only.
        let _ = fs::remove_dir_all(&self.sockets);
    }
}

/// In order, which writes everything down; killed when that takes too long.
async fn stop(mut running: Running, until: Instant) {
    if !ended_by(&mut running.child, Signal::TERM, until).await {
        tracing::warn!("the private Redis did not stop in time; killing it");
        // It may have ended by itself meanwhile.
        let _ = running.child.kill().await;
    }
}

/// Stops a server that a killed host left behind on this data.
async fn end_left_behind(folder: &Path, note: &Path) -> Result<(), ServerError> {
    let sockets = fs::read_to_string(note).ok().map(PathBuf::from);
    let sockets = sockets.filter(|sockets| private::is_socket_folder(sockets));
    let pid = fs::read_to_string(folder.join(PID_FILE)).ok().and_then(|pid| pid.trim().parse::<u32>().ok());
    if let Some(pid) = pid.filter(|pid| private::runs_on(*pid, folder)) {
        tracing::warn!(pid, "stopping the private Redis that an earlier host left behind");
        if let Some(sockets) = &sockets {
            // Whether it stopped is seen below.
            let _ = say(&sockets.join(SOCKET), "SHUTDOWN").await;
        }
        if !private::is_gone(pid, folder, STOP_TIMEOUT).await {
            // The shell's own `kill`: there is no safe way to signal a process that is no child.
            let _ = Command::new("/bin/sh").args(["-c", "kill -KILL \"$0\"", &pid.to_string()]).status().await;
            if !private::is_gone(pid, folder, STOP_TIMEOUT).await {
                return Err(ServerError::Left { pid, folder: folder.to_owned() });
            }
        }
    }
    if let Some(sockets) = sockets {
        // Litter only; the folder may be gone since the machine started anew.
        let _ = fs::remove_dir_all(sockets);
    }
    Ok(())
}

/// One inline command and the beginning of its answer.
async fn say(socket: &Path, command: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut answer = [0; 64];
        let read = stream.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
    };
    timeout(PING_TIMEOUT, exchange).await?
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Single assignments only: valid whatever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
