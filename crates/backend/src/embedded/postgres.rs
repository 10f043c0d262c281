//! One private PostgreSQL process, from start to stop.
//!
//! It belongs to the host: started with it, started again if it dies, stopped with it, and ended when
//! the host is killed. One that was left behind all the same is stopped first. Its log goes to ours;
//! what statements say never does.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    process::Child,
    sync::oneshot,
    task::{AbortHandle, JoinHandle},
    time::Instant,
};

use super::{
    DataFolder, Environment,
    account::Account,
    binaries::{self, Binaries},
    cluster::{self, SUPERUSER},
    entry::Entry,
    log::{self, LastLines},
    private::{self, PrivateError, ended_by},
};
use crate::{
    leash::{Ending, Leash},
    postgres::{endpoint::Endpoint, flush::Flushes, flusher::flush_for_all},
};
use rustix::process::Signal;

pub use super::{binaries::BinariesError, cluster::ClusterError};

/// Recovery after a crash replays at most the log of the last checkpoint.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// A server that dies is started again after this long.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Of one that an earlier host left behind.
const LEFT_STOP_SECONDS: &str = "20";
const LEFT_PATIENCE: Duration = Duration::from_secs(10);
/// One that is told to end at once has this long before it is killed.
const AT_ONCE: Duration = Duration::from_millis(200);
/// Fast, then at once: what is written down is recovered at the next start.
const ENDING: [&str; 3] = ["INT", "QUIT", "KILL"];
const ENDING_SECONDS: u32 = 10;
/// Sessions beside the pools': checks, migrations, and those that are just ending.
const SPARE_SESSIONS: usize = 20;

/// Address space of each process, the programs and what it shares with others among it: a statement that wants
/// more fails.
const PROCESS_BYTES_MAX: u64 = 640 << 20;
/// Of the memory that all processes share, for each session.
const SESSION_SHARED_BYTES: u64 = 128 << 10;

/// A running private PostgreSQL. Dropping it kills the process; its data stays whole.
pub struct Server {
    socket: PathBuf,
    sessions_max: usize,
    flushes: Arc<Flushes>,
    stop: Mutex<Option<oneshot::Sender<Instant>>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    flusher: AbortHandle,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    #[error(transparent)]
    Private(#[from] PrivateError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("no account to run PostgreSQL under")]
    Account(#[source] io::Error),
    #[error("cannot run `{program}`")]
    Run {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "a PostgreSQL (pid {pid}) of an earlier host still runs on `{cluster}` and does not stop; end it and start again"
    )]
    Left { pid: u32, cluster: PathBuf },
    #[error("PostgreSQL did not start; its last words: {0}")]
    Died(String),
    #[error("PostgreSQL was not ready within {} s", START_TIMEOUT.as_secs())]
    NotReady,
}

impl Server {
    /// Starts the server for `sessions_max` sessions of pools, making its data first if needed.
    pub async fn start(
        folder: &DataFolder,
        environment: &Environment,
        sessions_max: usize,
    ) -> Result<Self, ServerError> {
        let cluster = folder.path().join("postgres");
        let account = Account::choose("postgres", &cluster).map_err(ServerError::Account)?;
        let binaries = binaries::find(environment, &cluster)?;
        let entry = cluster::ensure(&cluster, &binaries, &account, environment.passing.as_deref()).await?;
        let socket = private::socket_folder(environment.runtime.as_deref(), &account)?;
        let passing = environment.passing.is_some();
        let launch = Launch { binaries, account, cluster, entry, socket: socket.clone(), sessions_max, passing };
        launch.end_left_behind().await?;
        let running = launch.launch_until_ready().await?;
        let (stop, stopping) = oneshot::channel();
        let keeper = tokio::spawn(launch.keep(running, stopping));
        let (flushes, superuser) = (Arc::<Flushes>::default(), superuser(&socket, "postgres"));
        let flusher = tokio::spawn(flush_for_all(flushes.clone(), superuser)).abort_handle();
        Ok(Self {
            socket,
            sessions_max,
            flushes,
            flusher,
            stop: Mutex::new(Some(stop)),
            keeper: Mutex::new(Some(keeper)),
        })
    }

    /// Ends all sessions, writes everything down, and waits for that. A second call does nothing.
    pub async fn stop(&self) {
        self.stop_by(Instant::now() + STOP_TIMEOUT).await;
    }

    /// The same; a server that takes longer is killed then, and recovers at its next start.
    pub async fn stop_by(&self, until: Instant) {
        let until = until.min(Instant::now() + STOP_TIMEOUT);
        self.flusher.abort();
        let keeper = lock(&self.keeper).take();
        // The keeper is gone only if the runtime ends, and the process with it.
        let _ = lock(&self.stop).take().map(|stop| stop.send(until));
        if let Some(keeper) = keeper {
            let _ = keeper.await;
        }
    }

    /// Sessions of pools that it has room for.
    pub(crate) fn sessions_max(&self) -> usize {
        self.sessions_max
    }

    pub(crate) fn endpoint(&self, database: &str, role: &str, password: &manifest::Secret) -> Endpoint {
        Endpoint::on_socket(self.socket.clone(), database, role, Some(password)).flushed_by(&self.flushes)
    }

    pub(crate) fn as_superuser(&self, database: &str) -> Endpoint {
        superuser(&self.socket, database).patient()
    }
}

fn superuser(socket: &Path, database: &str) -> Endpoint {
    Endpoint::on_socket(socket.to_owned(), database, SUPERUSER, None)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.flusher.abort();
        if let Some(keeper) = lock(&self.keeper).take() {
            keeper.abort();
        }
    }
}

/// Everything that is needed to start it, again and again.
struct Launch {
    binaries: Binaries,
    account: Account,
    cluster: PathBuf,
    entry: Entry,
    socket: PathBuf,
    sessions_max: usize,
    /// Its data is thrown away at the end.
    passing: bool,
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
                until = &mut stopping => return self.stop(running, until.unwrap_or_else(|_gone| Instant::now())).await,
                status = running.child.wait() => tracing::error!(?status, "the private PostgreSQL ended; starting it again"),
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
                Err(error) => tracing::error!(%error, "the private PostgreSQL does not start"),
            }
        }
    }

    async fn stop(&self, mut running: Running, until: Instant) {
        let child = &mut running.child;
        if !ended_by(child, Signal::INT, until).await {
            tracing::warn!("the private PostgreSQL did not stop in time; it will recover at the next start");
            if !ended_by(child, Signal::QUIT, Instant::now() + AT_ONCE).await {
                // It may have ended by itself meanwhile.
                let _ = child.kill().await;
            }
        }
    }

    /// Starts it and waits until it takes sessions. Children of a killed predecessor may hold its
    /// memory for a moment, so an early death is tried again until the time is over.
    async fn launch_until_ready(&self) -> Result<Running, ServerError> {
        let deadline = Instant::now() + START_TIMEOUT;
        let orphans_gone = Instant::now() + Duration::from_secs(10);
        let after_crash = self.cluster.join("postmaster.pid").exists();
        loop {
            let mut running = self.launch()?;
            match self.ready(&mut running, deadline).await {
                Ok(()) => return Ok(running),
                Err(ServerError::Died(_)) if after_crash && Instant::now() < orphans_gone => {
                    tokio::time::sleep(RESTART_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn ready(&self, running: &mut Running, deadline: Instant) -> Result<(), ServerError> {
        let endpoint = superuser(&self.socket, "postgres");
        while Instant::now() < deadline {
            if endpoint.connect(1 << 20).await.is_ok() {
                return Ok(());
            }
            let pause = tokio::time::sleep(Duration::from_millis(20));
            tokio::select! {
                () = pause => {}
                _ = running.child.wait() => {
                    return Err(ServerError::Died(running.last_lines.joined()));
                }
            }
        }
        Err(ServerError::NotReady)
    }

    fn launch(&self) -> Result<Running, ServerError> {
        let program = self.binaries.folder.join("postgres");
        let memory = PROCESS_BYTES_MAX + self.sessions_max as u64 * SESSION_SHARED_BYTES;
        let mut command = self.entry.command_within(memory, &program, &self.account);
        command.arg("-D").arg(self.entry.name());
        for setting in self.settings() {
            command.arg("-c").arg(setting);
        }
        // A group of its own: ctrl-C in a terminal is for the host, which stops it in order.
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let ending = Ending {
            signals: &ENDING,
            patience_seconds: ENDING_SECONDS,
            litter: self.socket.clone(),
            ..Ending::default()
        };
        let spawned = Leash::spawn(&mut command, self.account.shell(), &ending);
        let (mut child, leash) = spawned.map_err(|source| ServerError::Run { program, source })?;
        let last_lines = LastLines::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log::forward(stderr, last_lines.clone(), log::of_postgres));
        }
        Ok(Running { child, last_lines, _leash: leash })
    }

    fn settings(&self) -> Vec<String> {
        let fixed = [
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "port=5432",
            "shared_buffers=16MB",
            "wal_level=minimal",
            "max_wal_senders=0",
            "temp_file_limit=1GB",
            "idle_in_transaction_session_timeout=60s",
            "password_encryption=scram-sha-256",
            "jit=off",
            "timezone=UTC",
            "log_timezone=UTC",
            "log_destination=stderr",
            "logging_collector=off",
            "log_line_prefix=",
            // Statements and their data stay out of the log, also when they fail.
            "log_min_messages=log",
            "log_min_error_statement=panic",
            "log_statement=none",
            "log_error_verbosity=terse",
            "log_checkpoints=off",
        ];
        let mut settings: Vec<_> = fixed.map(str::to_owned).into();
        settings.push(format!("unix_socket_directories={}", self.socket.display()));
        let unsafely = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
        settings.extend(unsafely.into_iter().filter(|_| self.passing).map(str::to_owned));
        settings.push(format!("max_connections={}", self.sessions_max + self.sessions_max / 4 + SPARE_SESSIONS));
        settings
    }

    /// Stops a server that a killed host left behind on this data.
    async fn end_left_behind(&self) -> Result<(), ServerError> {
        let Ok(text) = fs::read_to_string(self.cluster.join("postmaster.pid")) else { return Ok(()) };
        let mut lines = text.lines();
        let pid = lines.next().and_then(|pid| pid.trim().parse::<u32>().ok());
        let socket = lines.nth(3).map(PathBuf::from);
        if let Some(pid) = pid.filter(|pid| private::runs_on(*pid, &self.cluster)) {
            tracing::warn!(pid, "stopping the private PostgreSQL that an earlier host left behind");
            // It may be ending by itself already, and then there is nobody to tell.
            let told = self.pg_ctl_stop("fast").await || self.pg_ctl_stop("immediate").await;
            if !told && !private::is_gone(pid, &self.cluster, LEFT_PATIENCE).await {
                return Err(ServerError::Left { pid, cluster: self.cluster.clone() });
            }
        }
        if let Some(socket) = socket.filter(|socket| *socket != self.socket && private::is_socket_folder(socket)) {
            // Litter only; the folder may be gone since the machine started anew.
            let _ = fs::remove_dir_all(socket);
        }
        Ok(())
    }

    async fn pg_ctl_stop(&self, mode: &str) -> bool {
        let mut command = self.entry.command(&self.binaries.folder.join("pg_ctl"), &self.account);
        command.args(["stop", "-w", "-s", "-t", LEFT_STOP_SECONDS, "-m", mode, "-D"]).arg(self.entry.name());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().await.is_ok_and(|status| status.success())
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        // Litter only.
        let _ = fs::remove_dir_all(&self.socket);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Single assignments only: valid whatever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
