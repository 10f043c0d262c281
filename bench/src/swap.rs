//! Swaps under load: a new build each second while connections of both HTTP versions ask, then
//! swaps back to back.
//!
//! Counts failures and versions that went back, and compares latency with the same load before.
//! Memory and open files are those of the host's process, after the second swap and at the end.

mod client;

use std::{
    collections::HashMap,
    fs,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::Context;
use serde::Serialize;
use tokio::task::JoinSet;

use self::client::{Admin, Seen, Wire};
use crate::{
    cores::Cores,
    hello::binary,
    manifest::{service, system},
    server::{Server, free_address},
};

const QUIET: Duration = Duration::from_secs(10);
/// Between two swaps under load.
const PAUSE: Duration = Duration::from_secs(1);
/// The path of a service that nobody swaps.
const NEIGHBOUR: &str = "/neighbour";
/// One connection in so many asks for it.
const NEIGHBOURS: u32 = 4;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long builds are swapped under load, one a second.
    #[arg(long, default_value = "60")]
    seconds: NonZeroU32,
    /// Keep-alive connections, half of them HTTP/2, each with one request on its way; a quarter more go to a
    /// service that is not swapped.
    #[arg(long, default_value = "32")]
    connections: NonZeroU32,
    /// Swaps back to back after that.
    #[arg(long, default_value = "200")]
    swaps: NonZeroU32,
    /// The host's binary [default: `archipel` beside this one].
    #[arg(long)]
    archipel: Option<PathBuf>,
    /// The component.
    #[arg(long, default_value = "components/target/wasm32-wasip2/release/hello.wasm")]
    component: PathBuf,
    /// Print JSON, as into a pipe, on a terminal too.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    bench: &'static str,
    cores: String,
    /// Under load, then back to back.
    swaps: (u32, u32),
    requests: u64,
    failures: u64,
    /// Answers of an older version on a connection that had seen a newer one.
    backward: u64,
    quiet_p99_us: u64,
    swapping_p99_us: u64,
    /// Of the service that is not swapped.
    neighbour_quiet_p99_us: u64,
    neighbour_swapping_p99_us: u64,
    component_kib: usize,
    /// From the request to the answer, of swaps to a build that is compiled, and to one that ran before.
    new_build_p50_ms: f64,
    new_build_max_ms: f64,
    cached_build_p50_ms: f64,
    cached_build_max_ms: f64,
    rss_mib: (u64, u64),
    descriptors: (usize, usize),
    last_one_wins: bool,
}

/// Measures, then prints a table or JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let cores = Cores::split();
    cores.pin_load()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let folder = tempfile::tempdir().context("cannot make a folder for the server's data")?;
        let bench = Bench::start(options, &cores, folder.path()).await?;
        let mut report = bench.measure(options).await?;
        report.cores = cores.to_string();
        print(&report, options.json)
    })
}

struct Bench {
    server: Server,
    admin: Admin,
    component: Vec<u8>,
    /// The place of each version in the order of swaps.
    order: std::cell::RefCell<HashMap<String, u32>>,
}

impl Bench {
    async fn start(options: &Options, cores: &Cores, folder: &Path) -> anyhow::Result<Self> {
        let component = fs::canonicalize(&options.component).with_context(|| {
            format!("`{}` is missing; `just component hello` builds it", options.component.display())
        })?;
        let (address, admin) = (free_address()?, free_address()?);
        let file = folder.join("swap.toml");
        fs::write(&file, manifest(&component, address, admin)?)?;
        let mut command = cores.server_command(&binary(options.archipel.as_deref())?);
        command.arg("run").arg(&file);
        let server = Server::start("archipel", address, command).await?;
        let token = fs::read_to_string(folder.join("data/admin-token")).context("no token of the admin API")?;
        let admin = Admin::new(admin, token.trim());
        let first = admin.live("hello").await?;
        let order = std::cell::RefCell::new(HashMap::from([(first, 0)]));
        Ok(Self { server, admin, component: fs::read(component)?, order })
    }

    async fn measure(&self, options: &Options) -> anyhow::Result<Report> {
        let quiet = self.under_load(options, tokio::time::sleep(QUIET)).await?.0;
        let mut fresh = Vec::new();
        let mut cached = Vec::new();
        let (swapping, under) = self
            .under_load(options, async {
                let end = Instant::now() + Duration::from_secs(options.seconds.get().into());
                let mut number = 0;
                while Instant::now() < end {
                    number += 1;
                    fresh.push(self.swap(number).await?);
                    tokio::time::sleep(PAUSE).await;
                }
                anyhow::Ok(number)
            })
            .await?;
        let under = under?;
        let before = self.footprint()?;
        for number in 0..options.swaps.get() {
            // Two builds in turn: both are compiled already.
            cached.push(self.swap(under - number % 2).await?);
        }
        let last = self.order.borrow().iter().max_by_key(|(_, place)| **place).map(|(version, _)| version.clone());
        let after = self.footprint()?;
        Ok(Report {
            bench: "swap",
            swaps: (under, options.swaps.get()),
            requests: quiet.requests + swapping.requests,
            failures: quiet.failures + swapping.failures,
            backward: swapping.backward,
            quiet_p99_us: quiet.latencies.quantile_us(0.99),
            swapping_p99_us: swapping.latencies.quantile_us(0.99),
            neighbour_quiet_p99_us: quiet.neighbours.quantile_us(0.99),
            neighbour_swapping_p99_us: swapping.neighbours.quantile_us(0.99),
            component_kib: self.component.len() >> 10,
            new_build_p50_ms: middle(&mut fresh),
            new_build_max_ms: fresh.last().copied().unwrap_or_default(),
            cached_build_p50_ms: middle(&mut cached),
            cached_build_max_ms: cached.last().copied().unwrap_or_default(),
            rss_mib: (before.0, after.0),
            descriptors: (before.1, after.1),
            last_one_wins: last == Some(self.admin.live("hello").await?),
            ..Report::default()
        })
    }

    /// What `connections` saw until `work` was done.
    async fn under_load<T>(&self, options: &Options, work: impl Future<Output = T>) -> anyhow::Result<(Seen, T)> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..options.connections.get() {
            let wire = if number % 2 == 0 { Wire::Http1 } else { Wire::Http2 };
            clients.spawn(client::ask(self.server.address, wire, "/", stop.clone()));
            if number % NEIGHBOURS == 0 {
                clients.spawn(client::ask(self.server.address, wire, NEIGHBOUR, stop.clone()));
            }
        }
        let done = work.await;
        stop.store(true, Relaxed);
        let mut seen = Seen::new();
        while let Some(ended) = clients.join_next().await {
            seen.add(ended.context("a client panicked")??, &self.order.borrow());
        }
        Ok((seen, done))
    }

    /// Milliseconds from the request to the answer.
    async fn swap(&self, number: u32) -> anyhow::Result<f64> {
        let began = Instant::now();
        let version = self.admin.swap("hello", build(&self.component, number)).await?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        let mut order = self.order.borrow_mut();
        let place = order.values().max().copied().unwrap_or(0) + 1;
        order.insert(version, place);
        Ok(took)
    }

    /// Resident memory in MiB and open files of the host.
    fn footprint(&self) -> anyhow::Result<(u64, usize)> {
        let pid = self.server.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok((rss.context("no VmRSS")? / 1024, fs::read_dir(format!("/proc/{pid}/fd"))?.count()))
    }
}

/// Sorts, and gives back the middle one.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The same component as another build: one custom section more.
fn build(component: &[u8], number: u32) -> Vec<u8> {
    let mut another = component.to_vec();
    another.extend([0, 10, 5]);
    another.extend(b"build");
    another.extend(number.to_le_bytes());
    another
}

/// What is swapped, and a service beside it that is left alone.
fn manifest(component: &Path, listen: SocketAddr, admin: SocketAddr) -> anyhow::Result<String> {
    let reuse = r#"limits = { reuse = { requests = 10000, idle = "10s" } }"#;
    let swapped = service("hello", component, "/{*rest}", reuse)?;
    Ok(system(listen, admin) + &swapped + &service("neighbour", component, NEIGHBOUR, reuse)?)
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json || !out.is_terminal() {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    let Report { requests, failures, backward, swaps, .. } = report;
    writeln!(out, "swap: {} builds under load, {} back to back, {}\n", swaps.0, swaps.1, report.cores)?;
    writeln!(
        out,
        "  {requests} requests, {failures} failures, {backward} answers of an older version after a newer one"
    )?;
    writeln!(out, "  p99 {} µs quiet, {} µs while swapping", report.quiet_p99_us, report.swapping_p99_us)?;
    writeln!(
        out,
        "  p99 of the service beside it {} µs quiet, {} µs while swapping",
        report.neighbour_quiet_p99_us, report.neighbour_swapping_p99_us
    )?;
    writeln!(
        out,
        "  a new build of {} KiB is live after {:.0} ms (most {:.0})",
        report.component_kib, report.new_build_p50_ms, report.new_build_max_ms
    )?;
    writeln!(
        out,
        "  one that is compiled already after {:.1} ms (most {:.1})",
        report.cached_build_p50_ms, report.cached_build_max_ms
    )?;
    writeln!(
        out,
        "  memory {} MiB, then {} MiB; open files {}, then {}",
        report.rss_mib.0, report.rss_mib.1, report.descriptors.0, report.descriptors.1
    )?;
    Ok(())
}
