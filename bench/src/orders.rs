//! The whole shop of `manifests/shop.toml` under orders: orders a second, what one costs, and how
//! long it takes until its notification is stored.
//!
//! There is no peer in this run: the figures are CPU time an order (host and private servers
//! together) and times of the shop's own records. The manifest is the shipped one with free
//! ports and a limit that refuses nobody.

mod client;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use self::client::Client;
use crate::{
    cores::Cores,
    hello::binary,
    latency::Latencies,
    process,
    server::{Server, free_address},
};

/// A user's notifications are kept up to this many.
const INBOX: usize = 1000;
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long orders are placed, in seconds.
    #[arg(long, default_value = "10")]
    seconds: NonZeroU32,
    /// Keep-alive connections, each a user with one order on its way.
    #[arg(long, default_value = "16")]
    connections: NonZeroU32,
    /// The host's binary [default: `archipel` beside this one].
    #[arg(long)]
    archipel: Option<PathBuf>,
    /// The shop.
    #[arg(long, default_value = "manifests/shop.toml")]
    manifest: PathBuf,
    /// Print JSON, as into a pipe, on a terminal too.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    connections: NonZeroU32,
    cores: String,
    orders: u64,
    orders_per_second: f64,
    order_p50_us: u64,
    order_p99_us: u64,
    /// Host, PostgreSQL and Redis, from the first order to the last notification.
    cpu_us_per_order: f64,
    notifications: usize,
    /// While orders were placed, and after.
    notifications_per_second: f64,
    /// From the record of the order to the record of its notification.
    notification_p50_ms: u64,
    notification_p99_ms: u64,
}

/// Measures, then prints a table or JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let cores = Cores::split();
    cores.pin_load()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let folder = tempfile::tempdir().context("cannot make a folder for the servers' data")?;
        let shop = Shop::start(options, &cores, folder.path()).await?;
        let report = shop.measure(options, &cores).await?;
        print(&report, options.json)
    })
}

struct Shop {
    server: Server,
    client: Client,
    product: String,
    users: Vec<String>,
}

impl Shop {
    async fn start(options: &Options, cores: &Cores, folder: &Path) -> anyhow::Result<Self> {
        let binary = binary(options.archipel.as_deref())?;
        let address = free_address()?;
        let file = folder.join("shop.toml");
        fs::write(&file, manifest(&options.manifest, address)?)?;
        let mut command = cores.server_command(&binary);
        command.arg("run").arg(&file);
        let server = Server::start("shop", address, command).await?;
        let client = Client::new(address, &sign(&binary, &file)?);
        let new = json!({"name": "Tea", "price": 19.99, "inventory": 1_000_000_000});
        let product = id(&client.post("/api/products", &new).await?)?;
        let mut users = Vec::new();
        for number in 0..options.connections.get() {
            let new = json!({"email": format!("buyer{number}@example.com"), "name": "Buyer"});
            users.push(id(&client.post("/api/users", &new).await?)?);
        }
        Ok(Self { server, client, product, users })
    }

    async fn measure(&self, options: &Options, cores: &Cores) -> anyhow::Result<Report> {
        self.place(&self.users[0], Instant::now() + Duration::from_millis(500)).await?;
        let before = process::cpu(self.server.pid())?;
        let began = Instant::now();
        let (latencies, orders) = self.under_load(began + Duration::from_secs(options.seconds.get().into())).await?;
        let placed_for = began.elapsed();
        let stored = self.stored(&orders).await?;
        let cpu = process::cpu(self.server.pid())? - before;
        let delays = delays(&orders, &stored)?;
        let last = stored.values().max().copied().unwrap_or_default();
        let first = orders.values().min().copied().unwrap_or_default();
        let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
        Ok(Report {
            bench: "shop, orders",
            connections: options.connections,
            cores: cores.to_string(),
            orders: latencies.total(),
            orders_per_second: latencies.total() as f64 / placed_for.as_secs_f64(),
            order_p50_us: latencies.quantile_us(0.5),
            order_p99_us: latencies.quantile_us(0.99),
            cpu_us_per_order: cpu.as_secs_f64() * 1e6 / latencies.total() as f64,
            notifications: stored.len(),
            notifications_per_second: stored.len() as f64 * 1000.0 / (last - first).max(1) as f64,
            notification_p50_ms: at(0.5),
            notification_p99_ms: at(0.99),
        })
    }

    async fn under_load(&self, end: Instant) -> anyhow::Result<(Latencies, Placed)> {
        let placing = self.users.iter().map(|user| self.place(user, end));
        let (mut latencies, mut all) = (Latencies::new(), Placed::new());
        for placed in futures_util::future::join_all(placing).await {
            let (took, orders) = placed?;
            latencies.add(&took);
            all.extend(orders);
        }
        Ok((latencies, all))
    }

    /// One order after the other until `end`.
    async fn place(&self, user: &str, end: Instant) -> anyhow::Result<(Latencies, Placed)> {
        let (mut latencies, mut orders) = (Latencies::new(), Placed::new());
        let body = json!({"userId": user, "items": [{"productId": self.product, "quantity": 2}]});
        while Instant::now() < end && orders.len() < INBOX {
            let sent = Instant::now();
            let order = self.client.post("/api/orders", &body).await?;
            latencies.record(sent.elapsed());
            orders.insert(id(&order)?, millis(&order)?);
        }
        Ok((latencies, orders))
    }

    /// When the notification of each order was stored, once all of them are.
    async fn stored(&self, orders: &Placed) -> anyhow::Result<Placed> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        loop {
            let mut stored = Placed::new();
            for user in &self.users {
                stored.extend(self.inbox(user).await?);
            }
            stored.retain(|order, _| orders.contains_key(order));
            if stored.len() == orders.len() {
                return Ok(stored);
            }
            ensure!(
                Instant::now() < deadline,
                "{} of {} notifications within {SETTLED_WITHIN:?}",
                stored.len(),
                orders.len()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn inbox(&self, user: &str) -> anyhow::Result<Placed> {
        let mut inbox = Placed::new();
        for offset in (0..INBOX).step_by(100) {
            let page = self.client.get(&format!("/api/notifications?userId={user}&limit=100&offset={offset}")).await?;
            let page = page.as_array().context("no list of notifications")?;
            for one in page {
                inbox.insert(one["orderId"].as_str().context("no orderId")?.to_owned(), millis(one)?);
            }
            if page.len() < 100 {
                break;
            }
        }
        Ok(inbox)
    }
}

/// By the order's id: a moment in milliseconds since 1970.
type Placed = BTreeMap<String, u64>;

/// In milliseconds, the least first.
fn delays(orders: &Placed, stored: &Placed) -> anyhow::Result<Vec<u64>> {
    let mut delays: Vec<u64> = orders.iter().map(|(order, at)| stored[order].saturating_sub(*at)).collect();
    ensure!(!delays.is_empty(), "no order was placed");
    delays.sort_unstable();
    Ok(delays)
}

fn id(record: &Value) -> anyhow::Result<String> {
    Ok(record["id"].as_str().with_context(|| format!("no id in {record}"))?.to_owned())
}

fn millis(record: &Value) -> anyhow::Result<u64> {
    let text = record["createdAt"].as_str().with_context(|| format!("no createdAt in {record}"))?;
    let at: jiff::Timestamp = text.parse()?;
    Ok(u64::try_from(at.as_millisecond())?)
}

fn sign(binary: &Path, manifest: &Path) -> anyhow::Result<String> {
    let mut sign = std::process::Command::new(binary);
    sign.arg("token").arg("sign").arg(manifest).args(["--sub", "bench", "--role", "admin", "--ttl", "1h"]);
    let signed = sign.output().context("cannot sign a token")?;
    ensure!(signed.status.success(), "cannot sign a token: {}", String::from_utf8_lossy(&signed.stderr));
    Ok(String::from_utf8(signed.stdout)?.trim().to_owned())
}

/// The shipped manifest at a free port, with absolute paths and without a limit.
fn manifest(shipped: &Path, listen: SocketAddr) -> anyhow::Result<String> {
    let text = fs::read_to_string(shipped).with_context(|| format!("cannot read `{}`", shipped.display()))?;
    let root =
        fs::canonicalize(shipped)?.parent().and_then(Path::parent).context("a manifest in no folder")?.to_owned();
    let own = "listen = { env = \"SHOP_LISTEN\", optional = true }";
    ensure!(text.contains(own), "`{}` does not take its address from SHOP_LISTEN", shipped.display());
    let text = text.replace("\"../", &format!("\"{}/", root.display()));
    let text = text.replace(own, &format!("listen = \"{listen}\"\nlimit = \"off\""));
    Ok(format!("{text}\n[admin]\nlisten = \"{}\"\n", free_address()?))
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json || !out.is_terminal() {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    writeln!(out, "{}: {} connections, {}\n", report.bench, report.connections, report.cores)?;
    writeln!(
        out,
        "  {:.0} orders a second (p50 {} µs, p99 {} µs)",
        report.orders_per_second, report.order_p50_us, report.order_p99_us
    )?;
    writeln!(out, "  {:.0} µs of CPU an order, its notification included", report.cpu_us_per_order)?;
    writeln!(out, "  {:.0} notifications a second", report.notifications_per_second)?;
    writeln!(
        out,
        "  {} ms (p50) and {} ms (p99) from the order to its notification",
        report.notification_p50_ms, report.notification_p99_ms
    )?;
    Ok(())
}
