//! Orders, to their end: what one costs until its notification is stored, and when that is.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::json;

use super::system::{Shop, id};
use crate::{
    latency::Latencies,
    progress::say,
    row::Row,
    subject::{Plan, Round},
    watch::{Seen, Watch},
};

/// A user's notifications are kept up to this many.
const INBOX: usize = 1000;
const WARM_UP: Duration = Duration::from_millis(500);
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks for a notification.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Ids of orders.
type Placed = BTreeSet<String>;

/// One in so many orders may fail, on a machine that is too busy to answer in time.
const FAILURES_MAX: u64 = 100;

/// What one connection did, or all of them.
#[derive(Default)]
struct Attempts {
    placed: Placed,
    /// How many were not answered with a 201, and the last reason.
    failures: u64,
    why: String,
}

/// Rounds of orders so far.
pub(super) struct Orders {
    rounds: Vec<Round>,
    failures: u64,
    /// Until an order is answered.
    answered: Latencies,
    /// From an order's answer until its notification can be read.
    notified: Latencies,
    pss_bytes: u64,
}

impl Orders {
    pub(super) async fn measure(shop: &Shop, plan: Plan) -> anyhow::Result<Self> {
        let (answered, notified) = (Latencies::new(), Latencies::new());
        let mut orders = Self { rounds: Vec::new(), failures: 0, answered, notified, pss_bytes: 0 };
        for round in 0..plan.rounds.get() {
            say("shop: orders, new buyers");
            let users = users(shop, round, plan).await?;
            place(shop, &users[0], Instant::now() + WARM_UP).await?;
            shop.server.settled().await?;
            say(&format!("shop: orders, round {} of {}, {} connections", round + 1, plan.rounds, plan.connections));
            orders.one_round(shop, &users, plan).await?;
            say("  until a notification can be read, at the same load");
            orders.notifications(shop, &users, plan).await?;
        }
        orders.pss_bytes = crate::process::pss_bytes(shop.server.pid())?;
        Ok(orders)
    }

    /// Costs are counted until nothing is left to do, the rate of orders while they are placed.
    async fn one_round(&mut self, shop: &Shop, users: &[String], plan: Plan) -> anyhow::Result<()> {
        let watch = Watch::start(&shop.charged())?;
        let began = Instant::now();
        let placing = users.iter().map(|user| place(shop, user, began + plan.round));
        let (mut answered, mut all) = (Latencies::new(), Attempts::default());
        for done in futures_util::future::join_all(placing).await {
            let (took, attempts) = done?;
            answered.add(&took);
            all.add(attempts);
        }
        let Attempts { placed, failures, why } = all;
        let took = began.elapsed();
        let seen = settled(shop, users, &placed, &watch).await?;
        let round = Round { units: answered.total(), seen: Seen { took, ..seen } };
        ensure!(round.units > 0, "no order was placed: {why}");
        ensure!(failures * FAILURES_MAX <= round.units, "{failures} orders of {} failed, lastly: {why}", round.units);
        self.failures += failures;
        say(&format!("  {:<36}{:>9.1} µs", "order", round.cpu_us()));
        self.answered.add(&answered);
        self.rounds.push(round);
        Ok(())
    }

    /// A stretch of its own, since whoever looks for a notification costs something, too.
    async fn notifications(&mut self, shop: &Shop, users: &[String], plan: Plan) -> anyhow::Result<()> {
        let end = Instant::now() + plan.round;
        let (first, others) = users.split_first().context("no connection places orders")?;
        let load = futures_util::future::try_join_all(others.iter().map(|user| place(shop, user, end)));
        let (notified, _load) = tokio::try_join!(notified(shop, first, end), load)?;
        self.notified.add(&notified);
        Ok(())
    }

    /// `name` is what the work is called.
    pub(super) fn rows(&self, bench: &str, name: &str, plan: Plan, processors: usize) -> [Row; 2] {
        let row = |subject| Row {
            connections: Some(plan.connections.get()),
            ..Row::new(bench, subject, "order", processors)
        };
        let pss_bytes = Some(self.pss_bytes);
        let order = Row {
            pss_bytes,
            failures: Some(self.failures),
            ..row(name).with_rounds(&self.rounds).with_latencies(&self.answered)
        };
        [order, row(&format!("{name} to stored notification")).with_latencies(&self.notified)]
    }
}

/// New ones, so that no inbox is full.
async fn users(shop: &Shop, round: u32, plan: Plan) -> anyhow::Result<Vec<String>> {
    let mut users = Vec::new();
    for number in 0..plan.connections.get() {
        let new = json!({"email": format!("buyer{round}-{number}@example.com"), "name": "Buyer"});
        users.push(id(&shop.client.post("/api/users", &new).await?)?);
    }
    Ok(users)
}

/// One order after the other until `end`.
async fn place(shop: &Shop, user: &str, end: Instant) -> anyhow::Result<(Latencies, Attempts)> {
    let (mut latencies, mut attempts) = (Latencies::new(), Attempts::default());
    let body = shop.order(user);
    while Instant::now() < end && attempts.placed.len() < INBOX {
        let sent = Instant::now();
        match shop.client.post("/api/orders", &body).await {
            Ok(order) => {
                latencies.record(sent.elapsed());
                attempts.placed.insert(id(&order)?);
            }
            Err(error) => {
                attempts.failures += 1;
                attempts.why = format!("{error:#}");
            }
        }
    }
    Ok((latencies, attempts))
}

/// Orders of `user` until `end`, each looked for in the inbox as soon as it is answered.
async fn notified(shop: &Shop, user: &str, end: Instant) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::new();
    let (body, inbox) = (shop.order(user), format!("/api/notifications?userId={user}&limit=1"));
    while Instant::now() < end {
        let order = id(&shop.client.post("/api/orders", &body).await?)?;
        let answered = Instant::now();
        while shop.client.get(&inbox).await?[0]["orderId"] != order.as_str() {
            ensure!(answered.elapsed() < SETTLED_WITHIN, "no notification of order {order}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        latencies.record(answered.elapsed());
    }
    Ok(latencies)
}

impl Attempts {
    fn add(&mut self, other: Self) {
        self.placed.extend(other.placed);
        self.failures += other.failures;
        if !other.why.is_empty() {
            self.why = other.why;
        }
    }
}

/// What it has cost when nothing is left to do, and the notification of each order was stored.
async fn settled(shop: &Shop, users: &[String], orders: &Placed, watch: &Watch) -> anyhow::Result<Seen> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        shop.server.settled().await?;
        let seen = watch.seen()?;
        let stored = stored(shop, users, orders).await;
        match stored {
            Ok(stored) if stored.len() == orders.len() => return Ok(seen),
            _ if Instant::now() < deadline => {}
            Ok(stored) => bail!("{} of {} notifications are missing", orders.len() - stored.len(), orders.len()),
            Err(error) => return Err(error.context("cannot look for notifications")),
        }
    }
}

/// Those orders whose notifications are there.
async fn stored(shop: &Shop, users: &[String], orders: &Placed) -> anyhow::Result<Placed> {
    let mut stored = Placed::new();
    for user in users {
        stored.extend(inbox(shop, user).await?);
    }
    stored.retain(|order| orders.contains(order));
    Ok(stored)
}

async fn inbox(shop: &Shop, user: &str) -> anyhow::Result<Placed> {
    let mut inbox = Placed::new();
    for offset in (0..INBOX).step_by(100) {
        let page = shop.client.get(&format!("/api/notifications?userId={user}&limit=100&offset={offset}")).await?;
        let page = page.as_array().context("no list of notifications")?;
        for one in page {
            inbox.insert(one["orderId"].as_str().context("no orderId")?.to_owned());
        }
        if page.len() < 100 {
            break;
        }
    }
    Ok(inbox)
}
