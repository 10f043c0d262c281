//! The whole shop of `manifests/shop.toml`: what reading and creating a user, a profile and an order
//! cost, with PostgreSQL and Redis counted.
//!
//! One host in one process; its private databases stand beside the load. With `--hops` the same
//! again behind a gateway in a process of its own (`proxy`).

mod client;
mod orders;
mod system;

use clap::ValueEnum;

use self::{orders::Orders, system::Shop};
use crate::{
    cores::Cores,
    load::{NUMBER, Target},
    ours,
    report::Found,
    run::{self, Run},
    server::{Server, free_address},
    subject::{Subject, in_turn},
    watch::Charged,
};

const BENCH: &str = "shop";

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    shared: run::Options,
    /// Measure only these; may be repeated.
    #[arg(long)]
    only: Vec<Work>,
    /// Reading a user and a profile over two HTTP hops, too.
    #[arg(long)]
    hops: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// `GET /api/users/{id}`
    User,
    /// `POST /api/users`
    Create,
    /// `GET /api/users/{id}/profile` of a user with five orders.
    Profile,
    /// `POST /api/orders`, until its notification is stored.
    Order,
}

/// Measures, then prints a table or JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::run("shop", &options.shared, async |run| {
        let works = if options.only.is_empty() { Work::value_variants() } else { &options.only };
        measure(run, works, options.hops).await
    })
}

/// Orders alone, by their old name.
pub(crate) fn run_orders(options: &run::Options) -> anyhow::Result<()> {
    run::run("orders", options, async |run| measure(run, &[Work::Order], false).await)
}

pub(crate) async fn measure(run: &Run, works: &[Work], hops: bool) -> anyhow::Result<Found> {
    let cores = run.cores(1)?;
    let shop = Shop::start(run, &cores).await?;
    let plan = run.plan();
    let mut subjects = Vec::new();
    for work in works {
        subjects.extend(work.subject(&shop).await?);
    }
    let proxy = if hops { Some(proxy(&cores, &shop).await?) } else { None };
    if let Some(proxy) = &proxy {
        subjects.push(over_two_hops("user, two hops", &Work::User.path(&shop), &shop, proxy).await?);
        subjects.push(over_two_hops("profile, two hops", &Work::Profile.path(&shop), &shop, proxy).await?);
    }
    in_turn(BENCH, &mut subjects, plan).await;
    let mut found = Found::default();
    for subject in &subjects {
        found.take(BENCH, subject, None, cores.count());
    }
    if works.contains(&Work::Order) {
        match Orders::measure(&shop, plan).await {
            Ok(orders) => found.rows.extend(orders.rows(BENCH, plan, cores.count())),
            Err(error) => found.fail(BENCH, "order", &format!("{error:#}")),
        }
    }
    Ok(found)
}

impl Work {
    fn path(self, shop: &Shop) -> String {
        match self {
            Self::User => format!("/api/users/{}", shop.user),
            Self::Profile => format!("/api/users/{}/profile", shop.user),
            Self::Create => "/api/users".to_owned(),
            Self::Order => "/api/orders".to_owned(),
        }
    }

    /// Nothing for orders, which are not done with their answer.
    async fn subject(self, shop: &Shop) -> anyhow::Result<Option<Subject>> {
        let (to, path, charged) = (shop.server.address, self.path(shop), shop.charged());
        let get = |name| Subject::get(name, Target::new(to, &path).with_token(&shop.token), charged.clone());
        Ok(match self {
            Self::User => Some(get("user").await?),
            Self::Profile => Some(get("profile").await?),
            Self::Create => {
                let body = serde_json::json!({"email": format!("load{NUMBER}@example.com"), "name": "Load"});
                let target = Target::post(to, &path, &body.to_string()).with_token(&shop.token);
                Some(Subject::post("create", target, charged.clone()))
            }
            Self::Order => None,
        })
    }
}

async fn proxy(cores: &Cores, shop: &Shop) -> anyhow::Result<Server> {
    let listen = free_address()?;
    Server::start("proxy", listen, ours::proxy(cores, listen, shop.server.address)?).await
}

async fn over_two_hops(name: &str, path: &str, shop: &Shop, proxy: &Server) -> anyhow::Result<Subject> {
    let charged = shop.charged().into_iter().chain([Charged::server("gateway", proxy.pid())]).collect();
    Subject::get(name, Target::new(proxy.address, path).with_token(&shop.token), charged).await
}
