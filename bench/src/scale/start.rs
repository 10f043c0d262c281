//! From the start of a process to its first answer, when everything is compiled.
//!
//! One at a time, in turn; the first start of each fills caches and is not counted. The CPU time is
//! that of the threads that live then, since clock ticks are too coarse.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use crate::{
    cores::Cores,
    hello::wasi_component,
    latency::Latencies,
    manifest::{self, Reuse, limits, service, system},
    ours::{self, BODY},
    peers::{Peer, Place},
    process,
    progress::say,
    report::Found,
    row::{Cpu, Row, median},
    run::Run,
    server::{Server, free_address},
    watch::Watch,
};

const BENCH: &str = "scale, start to first answer";
const STARTS: usize = 11;
const STARTS_QUICK: usize = 3;
/// Between two questions whether it answers.
const PAUSE: Duration = Duration::from_micros(300);

struct Subject {
    name: &'static str,
    address: SocketAddr,
    how: How,
    cpu_us: Vec<f64>,
    took: Latencies,
    pss_bytes: Vec<f64>,
    /// By all starts, until each was idle.
    spent: Duration,
    /// Why it was given up.
    failed: Option<String>,
}

/// The same again for each start.
enum How {
    Native,
    /// With what it compiled at its first start.
    Archipel {
        binary: PathBuf,
        manifest: PathBuf,
    },
    /// Deno with Oak, and the folder for its cache.
    Oak(PathBuf),
    /// With what `wasmtime compile` made.
    Wasmtime {
        program: PathBuf,
        compiled: PathBuf,
    },
}

pub(super) async fn measure(run: &Run) -> anyhow::Result<Found> {
    let cores = run.cores(1)?;
    let mut found = Found::default();
    let mut subjects = vec![Subject::new("native hyper", How::Native)?, archipel(run)?];
    let (wasmtime, oak) = (run.peers.program("wasmtime"), run.peers.has(Peer::DenoOak));
    match wasmtime.map(|program| compiled(run, &program)) {
        Some(Ok(subject)) => subjects.push(subject),
        Some(Err(error)) => found.fail(BENCH, Peer::WasmtimeFresh.name(), &format!("{error:#}")),
        None => found.absent.push(Peer::WasmtimeFresh.name().to_owned()),
    }
    match oak {
        true => subjects.push(Subject::new(Peer::DenoOak.name(), How::Oak(run.folder()?))?),
        false => found.absent.push(Peer::DenoOak.name().to_owned()),
    }
    let starts = if run.options.quick { STARTS_QUICK } else { STARTS };
    say(&format!("{BENCH}: {starts} starts of each"));
    let watch = Watch::start(&[])?;
    for start in 0..=starts {
        for subject in &mut subjects {
            subject.start_unless_failed(run, &cores, start > 0).await;
        }
    }
    let spent = subjects.iter().map(|subject| subject.spent).sum();
    let foreign = watch.seen_besides(spent)?.foreign;
    let base = median(subjects[0].cpu_us.clone());
    for subject in &subjects {
        match &subject.failed {
            Some(why) => found.fail(BENCH, subject.name, why),
            None => found.rows.push(Row {
                foreign: Some(foreign),
                foreign_max: Some(foreign),
                ..subject.row(cores.count(), subjects[0].name, base)
            }),
        }
    }
    Ok(found)
}

fn archipel(run: &Run) -> anyhow::Result<Subject> {
    let mut subject = Subject::new("archipel, compiled before", How::Native)?;
    let hello = service("hello", &run.component("hello")?, "/{*rest}", &limits(1, Reuse::Often))?;
    let text = system(subject.address, free_address()?, 1) + &hello;
    subject.how = How::Archipel { binary: run.archipel()?, manifest: manifest::write(&run.folder()?, &text)? };
    Ok(subject)
}

fn compiled(run: &Run, program: &Path) -> anyhow::Result<Subject> {
    let compiled = run.folder()?.join("hello.cwasm");
    let mut compile = Command::new(program);
    compile.arg("compile").arg(wasi_component(run)?).arg("-o").arg(&compiled);
    let output = compile.output().context("cannot run wasmtime")?;
    ensure!(output.status.success(), "wasmtime compile: {}", String::from_utf8_lossy(&output.stderr));
    Subject::new("wasmtime serve, compiled before", How::Wasmtime { program: program.to_owned(), compiled })
}

impl Subject {
    fn new(name: &'static str, how: How) -> anyhow::Result<Self> {
        let (cpu_us, took, pss_bytes) = (Vec::new(), Latencies::new(), Vec::new());
        Ok(Self { name, address: free_address()?, how, cpu_us, took, pss_bytes, spent: Duration::ZERO, failed: None })
    }

    fn command(&self, run: &Run, cores: &Cores) -> anyhow::Result<Command> {
        Ok(match &self.how {
            How::Native => ours::native(cores, self.address)?,
            How::Archipel { binary, manifest } => {
                let mut command = cores.server_command(binary);
                command.arg("run").arg(manifest);
                command
            }
            How::Oak(folder) => {
                let (listen, component) = (self.address, Path::new(""));
                let place = Place { listen, behind: listen, folder, cores, body: BODY, component };
                run.peers.command(Peer::DenoOak, &place)?.context("it is not installed any more")?
            }
            How::Wasmtime { program, compiled } => {
                let mut command = cores.server_command(program);
                command.args(["serve", "-S", "cli", "--allow-precompiled", "--addr", &self.address.to_string()]);
                command.arg(compiled);
                command
            }
        })
    }

    async fn start_unless_failed(&mut self, run: &Run, cores: &Cores, counts: bool) {
        if self.failed.is_none() {
            self.failed = self.start(run, cores, counts).await.err().map(|error| format!("{error:#}"));
        }
    }

    async fn start(&mut self, run: &Run, cores: &Cores, counts: bool) -> anyhow::Result<()> {
        let command = self.command(run, cores)?;
        let began = Instant::now();
        let mut server = Server::spawn(self.name, self.address, command)?;
        server.answers("/", PAUSE).await?;
        let took = began.elapsed();
        let cpu = process::run_time(server.pid())?;
        if counts {
            self.took.record(took);
            self.cpu_us.push(cpu.as_secs_f64() * 1e6);
            self.pss_bytes.push(process::pss_bytes(server.pid())? as f64);
        }
        // What it compiles behind its answers is in the cache for the next start.
        server.settled().await?;
        self.spent += process::usage(server.pid())?.total();
        Ok(())
    }

    fn row(&self, processors: usize, base: &str, base_us: f64) -> Row {
        let us = median(self.cpu_us.clone());
        let us_min = self.cpu_us.iter().copied().fold(f64::INFINITY, f64::min);
        Row {
            rounds: self.cpu_us.len(),
            cpu: Some(Cpu { us, us_min, us_rounds: self.cpu_us.clone(), ..Cpu::default() }),
            base: Some(base.to_owned()),
            ratio: Some(us / base_us),
            pss_bytes: Some(median(self.pss_bytes.clone()) as u64),
            ..Row::new(BENCH, self.name, "start", processors).with_latencies(&self.took)
        }
    }
}
