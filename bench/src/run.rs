//! What all benches of one run share: options, processors, folders, peers; and how a run ends.

use std::{
    cell::Cell,
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cores::{self, Cores},
    peers::Peers,
    report::{Found, Machine, Report},
    subject::Plan,
};

const ROUNDS_SHORT: NonZeroU32 = NonZeroU32::new(3).expect("three rounds are some");

/// Options of every bench.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "shared")]
pub(crate) struct Options {
    /// How often each subject is measured [default: 5, quick: 2].
    #[arg(long)]
    rounds: Option<NonZeroU32>,
    /// How long one measurement takes, in seconds [default: 3, quick: 1].
    #[arg(long)]
    seconds: Option<NonZeroU32>,
    /// Keep-alive connections, each with one request on its way.
    #[arg(long, default_value = "32")]
    pub(crate) connections: NonZeroU32,
    /// Fewer and shorter rounds: to see that it works, not for figures.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The host's binary [default: `archipel` beside this one].
    #[arg(long)]
    archipel: Option<PathBuf>,
    /// The folder with the built components.
    #[arg(long, default_value = "components/target/wasm32-wasip2/release")]
    components: PathBuf,
    /// The folder with peers that `just bench-peers` has filled; what is not there is looked for in PATH.
    #[arg(long, default_value = "target/peers")]
    peers: PathBuf,
    /// Print JSON, as into a pipe, on a terminal too.
    #[arg(long)]
    json: bool,
    /// Write the JSON into this file, and print the table, into a pipe too.
    #[arg(long, conflicts_with = "json")]
    save: Option<PathBuf>,
}

/// A run in progress. Servers that it started end with what holds them, before its folder goes.
pub(crate) struct Run {
    pub(crate) options: Options,
    pub(crate) peers: Peers,
    machine: cores::Machine,
    folder: TempDir,
    folders: Cell<usize>,
}

impl Run {
    fn new(options: &Options) -> anyhow::Result<Self> {
        Ok(Self {
            options: options.clone(),
            peers: Peers::new(&options.peers),
            machine: cores::Machine::new(),
            folder: tempfile::tempdir().context("cannot make a folder for the servers' data")?,
            folders: Cell::new(0),
        })
    }

    /// Lays the machine out with so many processors for the servers, and moves this process.
    pub(crate) fn cores(&self, servers: usize) -> anyhow::Result<Cores> {
        let cores = self.machine.split(servers);
        cores.pin_load()?;
        Ok(cores)
    }

    pub(crate) fn plan(&self) -> Plan {
        let Options { rounds, seconds, connections, quick, .. } = self.options;
        let or =
            |given: Option<NonZeroU32>, full, short| given.map_or(if quick { short } else { full }, NonZeroU32::get);
        Plan {
            rounds: NonZeroU32::new(or(rounds, 5, 2)).expect("no round is no choice"),
            round: Duration::from_secs(or(seconds, 3, 1).into()),
            connections,
        }
    }

    /// For benches of many subjects: three rounds, where nobody says how many.
    pub(crate) fn short_plan(&self) -> Plan {
        let plan = self.plan();
        let rounds = if self.options.rounds.is_some() { plan.rounds } else { plan.rounds.min(ROUNDS_SHORT) };
        Plan { rounds, ..plan }
    }

    /// The host's binary: the one that was named, or the one beside this program.
    pub(crate) fn archipel(&self) -> anyhow::Result<PathBuf> {
        let binary = match &self.options.archipel {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("archipel"),
        };
        ensure!(binary.is_file(), "`{}` is missing; `just bench hello` builds it", binary.display());
        Ok(binary)
    }

    /// A component that has been built.
    pub(crate) fn component(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.options.components.join(name).with_extension("wasm");
        fs::canonicalize(&path).with_context(|| format!("`{}` is missing; `just build` builds it", path.display()))
    }

    /// A new folder for a server's own files. It is gone after the run.
    pub(crate) fn folder(&self) -> anyhow::Result<PathBuf> {
        self.folders.set(self.folders.get() + 1);
        let folder = self.folder.path().join(self.folders.get().to_string());
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    fn report(&self, bench: &'static str, found: Found) -> Report {
        let plan = self.plan();
        let mut versions = self.peers.versions();
        let archipel = self.archipel().ok().and_then(|binary| first_line(Command::new(binary).arg("--version")));
        versions.insert("archipel".to_owned(), archipel.unwrap_or_default().trim_start_matches("archipel ").to_owned());
        Report {
            bench,
            date: jiff::Timestamp::now().strftime("%F %R UTC").to_string(),
            commit: first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"])),
            machine: Machine {
                processor: processor().unwrap_or_else(|| "unknown processor".to_owned()),
                processors: self.machine.processors(),
                kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            },
            layout: self.machine.split(1).to_string(),
            rounds: plan.rounds.get(),
            seconds: plan.round.as_secs_f64(),
            versions,
            found,
        }
    }
}

/// Runs `bench` and prints what it found. A signal ends the servers too.
///
/// # Errors
/// When something could not be measured; the figures are printed before.
pub(crate) fn run(
    name: &'static str,
    options: &Options,
    bench: impl AsyncFnOnce(&Run) -> anyhow::Result<Found>,
) -> anyhow::Result<()> {
    many_files();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let run = Run::new(options)?;
        let found = tokio::select! {
            found = bench(&run) => found?,
            told = told_to_end() => {
                told?;
                anyhow::bail!("told to end; servers are stopped");
            }
        };
        let failed = found.failed.len();
        let report = run.report(name, found);
        match &options.save {
            Some(file) => report.save(file)?,
            None => report.print(options.json)?,
        }
        ensure!(failed == 0, "{failed} of what was to be measured failed; the output says which");
        Ok(())
    })
}

async fn told_to_end() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A thousand connections need more descriptors than a shell allows at first; servers inherit it.
/// Where it fails, connections will say so.
fn many_files() {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let hard = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().nth(1));
    let (Some(hard), pid) = (hard, std::process::id().to_string()) else { return };
    let _ = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={hard}:{hard}")]).status();
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(name.trim_start_matches([' ', '\t', ':']).to_owned())
}

/// Of what a command prints, if it succeeds.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}

/// Quoted for TOML.
pub(crate) fn quoted(path: &Path) -> anyhow::Result<toml::Value> {
    Ok(toml::Value::from(path.to_str().with_context(|| format!("`{}` is not UTF-8", path.display()))?))
}
