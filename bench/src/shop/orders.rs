//! Orders, to their end: what one costs until its notification is stored, and when that is.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

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

/// By the order's id: a moment in milliseconds since 1970.
type Placed = BTreeMap<String, u64>;

/// Rounds of orders so far.
pub(super) struct Orders {
    rounds: Vec<Round>,
    /// Until an order is answered.
    answered: Latencies,
    /// From the record of an order to that of its notification.
    notified: Latencies,
    pss_bytes: u64,
}

impl Orders {
    pub(super) async fn measure(shop: &Shop, plan: Plan) -> anyhow::Result<Self> {
        let (answered, notified) = (Latencies::new(), Latencies::new());
        let mut orders = Self { rounds: Vec::new(), answered, notified, pss_bytes: 0 };
        for round in 0..plan.rounds.get() {
            say(&format!("shop: orders, round {} of {}, {} connections", round + 1, plan.rounds, plan.connections));
            let users = users(shop, round, plan).await?;
            place(shop, &users[0], Instant::now() + WARM_UP).await?;
            shop.server.settled().await?;
            orders.one_round(shop, &users, plan).await?;
        }
        orders.pss_bytes = crate::process::pss_bytes(shop.server.pid())?;
        Ok(orders)
    }

    /// Costs are counted until nothing is left to do, the rate of orders while they are placed.
    async fn one_round(&mut self, shop: &Shop, users: &[String], plan: Plan) -> anyhow::Result<()> {
        let watch = Watch::start(&shop.charged())?;
        let began = Instant::now();
        let (mut answered, mut placed) = (Latencies::new(), Placed::new());
        let placing = users.iter().map(|user| place(shop, user, began + plan.round));
        for done in futures_util::future::join_all(placing).await {
            let (took, orders) = done?;
            answered.add(&took);
            placed.extend(orders);
        }
        let took = began.elapsed();
        shop.server.settled().await?;
        let seen = watch.seen()?;
        let stored = stored(shop, users, &placed).await?;
        for (order, at) in &placed {
            self.notified.record(Duration::from_millis(stored[order].saturating_sub(*at)));
        }
        let round = Round { units: answered.total(), seen: Seen { took, ..seen } };
        ensure!(round.units > 0, "no order was placed");
        say(&format!("  {:<36}{:>9.1} µs", "order", round.cpu_us()));
        self.answered.add(&answered);
        self.rounds.push(round);
        Ok(())
    }

    pub(super) fn rows(&self, bench: &str, plan: Plan, processors: usize) -> [Row; 2] {
        let row = |subject| Row {
            connections: Some(plan.connections.get()),
            ..Row::new(bench, subject, "order", processors)
        };
        let pss_bytes = Some(self.pss_bytes);
        let order = Row { pss_bytes, ..row("order").with_rounds(&self.rounds).with_latencies(&self.answered) };
        [order, row("order to stored notification").with_latencies(&self.notified)]
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
async fn place(shop: &Shop, user: &str, end: Instant) -> anyhow::Result<(Latencies, Placed)> {
    let (mut latencies, mut orders) = (Latencies::new(), Placed::new());
    let body = shop.order(user);
    while Instant::now() < end && orders.len() < INBOX {
        let sent = Instant::now();
        let order = shop.client.post("/api/orders", &body).await?;
        latencies.record(sent.elapsed());
        orders.insert(id(&order)?, millis(&order)?);
    }
    Ok((latencies, orders))
}

/// When the notification of each order was stored, once all of them are.
async fn stored(shop: &Shop, users: &[String], orders: &Placed) -> anyhow::Result<Placed> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        let mut stored = Placed::new();
        for user in users {
            stored.extend(inbox(shop, user).await?);
        }
        stored.retain(|order, _| orders.contains_key(order));
        if stored.len() == orders.len() {
            return Ok(stored);
        }
        let missing = orders.len() - stored.len();
        ensure!(Instant::now() < deadline, "{missing} of {} notifications are missing", orders.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn inbox(shop: &Shop, user: &str) -> anyhow::Result<Placed> {
    let mut inbox = Placed::new();
    for offset in (0..INBOX).step_by(100) {
        let page = shop.client.get(&format!("/api/notifications?userId={user}&limit=100&offset={offset}")).await?;
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

fn millis(record: &Value) -> anyhow::Result<u64> {
    let text = record["createdAt"].as_str().with_context(|| format!("no createdAt in {record}"))?;
    let at: jiff::Timestamp = text.parse()?;
    Ok(u64::try_from(at.as_millisecond())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_its_moment() {
        assert_eq!(millis(&json!({"createdAt": "1970-01-01T00:00:02.500Z"})).unwrap(), 2500);
        assert!(millis(&json!({})).is_err());
    }
}
