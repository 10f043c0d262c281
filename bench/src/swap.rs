//! Swaps under load: a new build each second while connections of both HTTP versions ask, then
//! swaps back to back.
//!
//! Counts failures and versions that went back, and compares latency with the same load before.
//! Memory is that of the host's process, after the swaps under load and at the end.

mod client;

use std::{
    cell::RefCell,
    collections::HashMap,
    fs,
    num::NonZeroU32,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use self::client::{Admin, Seen, Wire};
use crate::{
    cores::Cores,
    latency::Latencies,
    manifest::{self, service, system},
    process,
    progress::say,
    report::Found,
    row::Row,
    run::{self, Run},
    server::{Server, free_address},
    watch::{Charged, Watch},
};

const BENCH: &str = "swap";
/// Before the swaps, at most.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// Between two swaps under load.
const PAUSE: Duration = Duration::from_secs(1);
/// The path of a service that nobody swaps.
const NEIGHBOUR: &str = "/neighbour";
/// One connection in so many asks for it.
const NEIGHBOURS: u32 = 4;
/// Back to back, in a run of everything.
const SWAPS: u32 = 50;
const SWAPS_QUICK: u32 = 5;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    shared: run::Options,
    /// Swaps back to back, after all rounds of one swap a second under load.
    #[arg(long, default_value = "200")]
    swaps: NonZeroU32,
}

/// Measures, then prints a table or JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::run(BENCH, &options.shared, async |run| swaps(run, options.swaps.get()).await)
}

pub(crate) async fn measure(run: &Run) -> anyhow::Result<Found> {
    swaps(run, if run.options.quick { SWAPS_QUICK } else { SWAPS }).await
}

async fn swaps(run: &Run, back_to_back: u32) -> anyhow::Result<Found> {
    let cores = run.cores(1)?;
    let bench = Bench::start(run, &cores).await?;
    let rows = bench.measure(run, back_to_back, cores.count()).await?;
    Ok(Found { rows, ..Found::default() })
}

struct Bench {
    server: Server,
    admin: Admin,
    component: Vec<u8>,
    /// The place of each version in the order of swaps.
    order: RefCell<HashMap<String, u32>>,
}

impl Bench {
    /// What is swapped, and a service beside it that is left alone.
    async fn start(run: &Run, cores: &Cores) -> anyhow::Result<Self> {
        let (component, folder) = (run.component("hello")?, run.folder()?);
        let (address, admin) = (free_address()?, free_address()?);
        let reuse = r#"limits = { reuse = { requests = 10000, idle = "10s" } }"#;
        let swapped = service("hello", &component, "/{*rest}", reuse)?;
        let neighbour = service("neighbour", &component, NEIGHBOUR, reuse)?;
        let text = system(address, admin, run.options.connections.get()) + &swapped + &neighbour;
        let mut command = cores.server_command(&run.archipel()?);
        command.arg("run").arg(manifest::write(&folder, &text)?);
        let server = Server::start("archipel", address, command).await?;
        server.settled().await?;
        let token = fs::read_to_string(folder.join("data/admin-token")).context("no token of the admin API")?;
        let admin = Admin::new(admin, token.trim());
        let first = admin.live("hello").await?;
        let order = RefCell::new(HashMap::from([(first, 0)]));
        Ok(Self { server, admin, component: fs::read(component)?, order })
    }

    async fn measure(&self, run: &Run, back_to_back: u32, processors: usize) -> anyhow::Result<Vec<Row>> {
        let (plan, connections) = (run.plan(), run.options.connections.get());
        let length = plan.round * plan.rounds.get();
        say(&format!("{BENCH}: {length:?} under load, then {back_to_back} back to back"));
        let charged = [Charged::server("host", self.server.pid())];
        let watch = Watch::start(&charged)?;
        let quiet = self.under_load(connections, tokio::time::sleep(length.min(QUIET_MAX))).await?.0;
        let quiet_foreign = watch.seen()?.foreign;
        let (mut fresh, mut cached) = (Latencies::new(), Latencies::new());
        let (watch, end) = (Watch::start(&charged)?, Instant::now() + length);
        let (swapping, under) = self
            .under_load(connections, async {
                let mut number = 0;
                while Instant::now() < end || number < 2 {
                    number += 1;
                    fresh.record(self.swap(number).await?);
                    tokio::time::sleep(PAUSE).await;
                }
                anyhow::Ok(number)
            })
            .await?;
        let foreign = watch.seen()?.foreign;
        let (under, before) = (under?, process::pss_bytes(self.server.pid())?);
        for number in 0..back_to_back {
            // Two builds in turn: both are compiled already.
            cached.record(self.swap(under - number % 2).await?);
        }
        let last = self.order.borrow().iter().max_by_key(|(_, place)| **place).map(|(version, _)| version.clone());
        ensure!(last == Some(self.admin.live("hello").await?), "the last build is not the live one");
        let after = process::pss_bytes(self.server.pid())?;
        let row = |subject: &str, latencies: &Latencies| {
            Row::new(BENCH, subject, "request", processors).with_latencies(latencies)
        };
        let asked = |subject, latencies, failures, foreign| Row {
            connections: Some(connections),
            failures: Some(failures),
            foreign: Some(foreign),
            foreign_max: Some(foreign),
            ..row(subject, latencies)
        };
        let swapped = |subject, latencies: &Latencies, pss_bytes| Row {
            unit: "swap",
            rounds: latencies.total() as usize,
            pss_bytes: Some(pss_bytes),
            ..row(subject, latencies)
        };
        let failures = swapping.failures + swapping.backward;
        Ok(vec![
            asked("hello, nothing swapped", &quiet.latencies, quiet.failures, quiet_foreign),
            asked("hello, a new build each second", &swapping.latencies, failures, foreign),
            row("its neighbour, nothing swapped", &quiet.neighbours),
            row("its neighbour meanwhile", &swapping.neighbours),
            swapped("a new build is live", &fresh, before),
            swapped("one that is compiled is live", &cached, after),
        ])
    }

    /// What `connections` saw until `work` was done.
    async fn under_load<T>(&self, connections: u32, work: impl Future<Output = T>) -> anyhow::Result<(Seen, T)> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..connections {
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

    /// From the request to the answer.
    async fn swap(&self, number: u32) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let version = self.admin.swap("hello", build(&self.component, number)).await?;
        let took = began.elapsed();
        let mut order = self.order.borrow_mut();
        let place = order.values().max().copied().unwrap_or(0) + 1;
        order.insert(version, place);
        Ok(took)
    }
}

/// The same component as another build: one custom section more.
fn build(component: &[u8], number: u32) -> Vec<u8> {
    let mut another = component.to_vec();
    another.extend([0, 10, 5]);
    another.extend(b"build");
    another.extend(number.to_le_bytes());
    another
}
