//! `archipel test`: the system of a manifest for one command, and nothing of it afterwards.
//!
//! Decides what a test system has of its own: ports, databases, keys and data, all of them fresh, so that no
//! test ever meets what a developer or an operator keeps. What it shares with `run` is the compiled components.
//! The command gets addresses and a token; the databases' addresses stay the host's secret, as always.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::process::Command;

use super::{
    fetching::fetch,
    output::{Output, refused},
    place::{Place, kept, token},
    progress::Progress,
    project,
    run::{colours, environment},
    signals::Signals,
    watch::build_all,
};
use crate::{
    deploy::Freshness,
    serve::{self, Running, Surroundings},
    system, telemetry,
};
use backend::leash::{Ending, Leash};
use manifest::{DatabasePlace, Loaded, Manifest, Oversight, RedisPlace};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// `archipel.toml` of this folder, if none is named.
    manifest: Option<PathBuf>,
    /// Takes the components as they are.
    #[arg(long)]
    no_build: bool,
    /// What tests; `npm test` or `cargo test` by what the manifest's folder has, if none is given.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What requests that are still open may take at the end.
const DRAIN: Duration = Duration::from_secs(3);
/// What a command that is told to end may take.
const GRACE: Duration = Duration::from_secs(5);
/// As `run` does it.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(150);
/// A command that a signal ended, as shells say it.
const BY_SIGNAL: i32 = 128;
/// The log of a test: what went wrong, and what services print.
const FILTER: &str = "warn,guest=info";

pub(super) fn test(arguments: Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let file = project::manifest(arguments.manifest)?;
    let folder = file.canonicalize()?.parent().map(Path::to_owned).unwrap_or_default();
    let command = match arguments.command.is_empty() {
        true => project::own_tests(&folder)?,
        false => arguments.command,
    };
    let environment = environment();
    let loaded = match Manifest::load(&file, &environment) {
        Ok(loaded) => loaded,
        Err(problems) => return refused(&problems, output),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("archipel").enable_all().build()?;
    if !arguments.no_build {
        runtime.block_on(build_all(&loaded.manifest))?;
    }
    if let Err(problems) = runtime.block_on(fetch(&loaded, &environment, Freshness::Kept))? {
        return refused(&problems, output);
    }
    let missing = loaded.missing_components();
    if !missing.is_empty() {
        return refused(&missing, output);
    }
    let filter = environment.get("ARCHIPEL_LOG").map_or(FILTER, String::as_str);
    let telemetry = telemetry::start_beside(telemetry::own(&environment), filter, colours())?;
    let place = Place::new()?;
    let began = Instant::now();
    let compiled = kept(&loaded.manifest.host.data);
    let Loaded { manifest, digest, .. } = loaded;
    let progress = Arc::new(Progress::new(manifest.services.len()));
    let records = telemetry.records.clone();
    let of_system =
        system::Surroundings { file: file.clone(), environment, oversight: Oversight::None, compiled, records };
    let (lost, logs) = (telemetry.lost.clone(), telemetry.logs.clone());
    let surroundings = Surroundings { of_system, digest, watch: progress, lost, logs, began };
    let task = Task { command, file: file.canonicalize()?, folder, data: place.data() };
    let code = runtime.block_on(task.run(fresh(manifest, &task.data), surroundings));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    Ok(ExitCode::from(u8::try_from(code?).unwrap_or(u8::MAX)))
}

/// The same system with nothing that others use or have.
fn fresh(mut manifest: Manifest, data: &Path) -> Manifest {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (gateway, admin) = (&mut manifest.gateway, &mut manifest.admin);
    gateway.listen = vec![anywhere];
    (gateway.tls, gateway.hosts, gateway.limit, gateway.limit_store) = (None, Vec::new(), None, None);
    (admin.listen, admin.tls, admin.hosts) = (anywhere, None, Vec::new());
    let host = &mut manifest.host;
    (host.data, host.linger, host.drain) = (data.to_owned(), Duration::ZERO, DRAIN);
    manifest.databases.values_mut().for_each(|database| database.place = DatabasePlace::Embedded);
    manifest.redis.values_mut().for_each(|redis| redis.place = RedisPlace::Embedded);
    // Nobody is sent to a system that is gone in a moment.
    manifest.consul.iter_mut().for_each(|agent| agent.register = false);
    manifest
}

/// A command and what it is told.
struct Task {
    command: Vec<String>,
    /// Absolute.
    file: PathBuf,
    folder: PathBuf,
    data: PathBuf,
}

impl Task {
    /// The command's exit code.
    async fn run(&self, manifest: Manifest, surroundings: Surroundings) -> anyhow::Result<i32> {
        let mut signals = Signals::new()?;
        let running = tokio::select! {
            started = serve::start(manifest, surroundings) => started?,
            () = signals.next() => return Ok(1),
        };
        let code = self.command(&running, &mut signals).await;
        tokio::select! {
            _stragglers = running.stop() => {}
            () = signals.next() => {}
        }
        code
    }

    async fn command(&self, running: &Running, signals: &mut Signals) -> anyhow::Result<i32> {
        let report = running.report();
        let (url, admin) = (format!("http://{}", report.listening.gateway[0]), report.listening.admin);
        say(&format!("{} is ready at {url} after {} ms", report.name, report.start_ms));
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).current_dir(&self.folder).stdin(Stdio::null());
        command.env("ARCHIPEL", std::env::current_exe()?).env("ARCHIPEL_MANIFEST", &self.file);
        command.env("ARCHIPEL_URL", url).env("ARCHIPEL_ADMIN", format!("http://{admin}"));
        command.env("ARCHIPEL_DATA", &self.data);
        if let Some(token) = report.admin_token.and_then(|file| token(&file)) {
            command.env("ARCHIPEL_ADMIN_TOKEN", token);
        }
        let ending = Ending { signals: &["TERM", "KILL"], patience_seconds: 1, group: true, ..Ending::default() };
        let (mut child, _leash) = Leash::spawn(&mut command, Leash::shell(), &ending)
            .with_context(|| format!("cannot run `{}`", self.command.join(" ")))?;
        let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        let ended = tokio::select! {
            ended = child.wait() => Some(ended?),
            () = signals.next() => None,
        };
        if let Some(status) = ended {
            return Ok(code(status));
        }
        // Its group is its own: what a terminal sends has to be passed on.
        let tell = |signal| group.map(|group| rustix::process::kill_process_group(group, signal));
        let _may_have_ended = tell(rustix::process::Signal::TERM);
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            let _may_have_ended = tell(rustix::process::Signal::KILL);
        }
        Ok(1)
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| BY_SIGNAL + signal)).unwrap_or(1)
}

/// For people; standard output is the command's.
fn say(text: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
