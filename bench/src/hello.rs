//! Hello, world: what a component costs over a native server that does the same.
//!
//! All subjects run at once and are loaded in turn, A B C A B C …, so that a change of the
//! machine's mood meets each of them.

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::ValueEnum;

use crate::{
    cores::Cores,
    latency::Latencies,
    load::{self, Target},
    manifest::{service, system},
    process,
    report::{Measured, Report, Round},
    server::{Server, free_address},
};

/// Load before each measurement that is not counted: connections, caches, the clock of the CPU.
const WARM_UP: Duration = Duration::from_millis(300);
const NATIVE_ALONE_BODY_BYTES: usize = 14;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each subject is measured.
    #[arg(long, default_value = "5")]
    rounds: NonZeroU32,
    /// How long one measurement takes, in seconds.
    #[arg(long, default_value = "3")]
    seconds: NonZeroU32,
    /// Keep-alive connections, each with one request on its way.
    #[arg(long, default_value = "32")]
    connections: NonZeroU32,
    /// Measure only these; may be repeated. Ratios need `native`.
    #[arg(long)]
    only: Vec<Subject>,
    /// The host's binary [default: `archipel` beside this one].
    #[arg(long)]
    archipel: Option<PathBuf>,
    /// The component that says hello.
    #[arg(long, default_value = "components/target/wasm32-wasip2/release/hello.wasm")]
    component: PathBuf,
    /// Print JSON, as into a pipe, on a terminal too.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Bare hyper.
    Native,
    /// The host, a fresh instance for each request.
    Fresh,
    /// The host, an instance for up to 128 requests.
    Warm,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Native => "native hyper",
            Self::Fresh => "archipel, fresh",
            Self::Warm => "archipel, reused",
        }
    }
}

/// Measures, then prints a table or JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let cores = Cores::split();
    cores.pin_load()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let folder = tempfile::tempdir().context("cannot make a folder for the servers' data")?;
        let (mut measured, servers) = start(options, &cores, folder.path()).await?;
        for _ in 0..options.rounds.get() {
            for (subject, server) in measured.iter_mut().zip(&servers) {
                one_round(options, subject, server).await.context(subject.name)?;
            }
        }
        drop(servers);
        let native = measured.iter().find(|subject| subject.name == Subject::Native.name());
        Report::new("hello", "native", &measured, native, options.connections, options.seconds, &cores)
            .print(options.json)
    })
}

/// Starts the host's subjects first: the native peer answers with a body as long as theirs.
async fn start(options: &Options, cores: &Cores, folder: &Path) -> anyhow::Result<(Vec<Measured>, Vec<Server>)> {
    let wanted = |subject| options.only.is_empty() || options.only.contains(&subject);
    let (mut measured, mut servers) = (Vec::new(), Vec::new());
    let mut body_bytes = None;
    for subject in [Subject::Fresh, Subject::Warm, Subject::Native].into_iter().filter(|s| wanted(*s)) {
        let address = free_address()?;
        let command = match subject {
            Subject::Native => native(cores, address, body_bytes.unwrap_or(NATIVE_ALONE_BODY_BYTES))?,
            Subject::Fresh | Subject::Warm => archipel(options, cores, subject, address, folder)?,
        };
        let server = Server::start(subject.name(), address, command).await?;
        let answer = load::once(&Target::new(address, "/")).await.context(subject.name())?;
        ensure!(answer.status == 200, "{} answers {}, not 200", subject.name(), answer.status);
        body_bytes = Some(answer.body_bytes);
        let place = if subject == Subject::Native { 0 } else { measured.len() };
        measured.insert(place, Measured::new(subject.name(), answer.body_bytes));
        servers.insert(place, server);
    }
    Ok((measured, servers))
}

async fn one_round(options: &Options, subject: &mut Measured, server: &Server) -> anyhow::Result<()> {
    let (target, body_bytes) = (Target::new(server.address, "/"), subject.body_bytes);
    let load = |duration| load::run(&target, options.connections, duration, body_bytes);
    load(WARM_UP).await?;
    let before = process::cpu(server.pid())?;
    let outcome = load(Duration::from_secs(options.seconds.get().into())).await?;
    let cpu = process::cpu(server.pid())? - before;
    let requests = outcome.latencies.total();
    subject.rounds.push(Round {
        cpu_us: cpu.as_secs_f64() * 1e6 / requests as f64,
        requests_per_second: requests as f64 / outcome.took.as_secs_f64(),
    });
    subject.latencies.get_or_insert_with(Latencies::new).add(&outcome.latencies);
    subject.pss_bytes = process::pss_bytes(server.pid())?;
    Ok(())
}

fn native(cores: &Cores, listen: SocketAddr, body_bytes: usize) -> anyhow::Result<Command> {
    let this = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = cores.server_command(&this);
    command.args(["native", "--listen", &listen.to_string(), "--body-bytes", &body_bytes.to_string()]);
    Ok(command)
}

fn archipel(
    options: &Options,
    cores: &Cores,
    subject: Subject,
    listen: SocketAddr,
    folder: &Path,
) -> anyhow::Result<Command> {
    let binary = binary(options.archipel.as_deref())?;
    let component = fs::canonicalize(&options.component)
        .with_context(|| format!("`{}` is missing; `just component hello` builds it", options.component.display()))?;
    let folder = folder.join(if subject == Subject::Warm { "warm" } else { "fresh" });
    fs::create_dir(&folder)?;
    let file = folder.join("hello.toml");
    fs::write(&file, manifest(subject, listen, free_address()?, &component)?)?;
    let mut command = cores.server_command(&binary);
    command.arg("run").arg(file);
    Ok(command)
}

/// The host's binary: the one that was named, or the one beside this program.
pub(crate) fn binary(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let binary = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("archipel"),
    };
    ensure!(binary.is_file(), "`{}` is missing; `just bench hello` builds it", binary.display());
    Ok(binary)
}

/// Data goes beside the manifest, so each subject has its own.
fn manifest(subject: Subject, listen: SocketAddr, admin: SocketAddr, component: &Path) -> anyhow::Result<String> {
    let lines = match subject {
        Subject::Warm => r#"limits = { reuse = { requests = 128, idle = "10s" } }"#,
        Subject::Fresh | Subject::Native => "",
    };
    Ok(system(listen, admin) + &service("hello", component, "/{*rest}", lines)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_differ_only_in_reuse() {
        let at: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let read = |subject| -> toml::Table {
            manifest(subject, at, at, Path::new("/a \"b\"/hello.wasm")).unwrap().parse().unwrap()
        };
        let (fresh, mut warm) = (read(Subject::Fresh), read(Subject::Warm));
        let hello = warm["services"]["hello"].as_table_mut().unwrap();
        assert_eq!(hello.remove("limits").unwrap()["reuse"]["requests"].as_integer(), Some(128));
        assert_eq!(fresh, warm);
        assert_eq!(fresh["services"]["hello"]["component"].as_str(), Some("/a \"b\"/hello.wasm"));
    }
}
