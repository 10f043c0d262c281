//! The whole shop of `manifests/shop.toml`: what reading and creating a user, a profile and an order
//! cost, with PostgreSQL and Redis counted.
//!
//! One host in one process; its private databases stand beside the load. With `--hops` the same
//! again behind a gateway in a process of its own (`proxy`). With `--users` the users service in other languages
//! beside it, each in a shop of its own, and a user by Deno and Oak (`deno`).

mod client;
mod deno;
mod orders;
mod system;

use anyhow::Context;
use clap::ValueEnum;

use self::{
    deno::{Client, Deno},
    orders::Orders,
    system::{Language, Shop},
};
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
    /// Who answers for users, in the same run; may be repeated. Ratios are to the first.
    #[arg(long, default_value = "rust")]
    users: Vec<Users>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Users {
    /// The service in Rust, of `manifests/shop.toml`.
    Rust,
    /// The one in TypeScript on StarlingMonkey, of `manifests/shop-ts.toml`.
    Typescript,
    /// The one in TypeScript on the quick engine.
    Quick,
    /// Deno with Oak behind a gateway of the same, one connection to PostgreSQL: reading a user, no more.
    Deno,
    /// The same with four connections, and statements that are prepared and sent one behind the other.
    DenoPool,
}

/// What is measured of the shop.
pub(crate) struct Setting<'a> {
    pub(crate) works: &'a [Work],
    pub(crate) users: &'a [Users],
    pub(crate) hops: bool,
}

impl Setting<'_> {
    pub(crate) const ALL: Setting<'static> =
        Setting { works: &[Work::User, Work::Create, Work::Profile, Work::Order], users: &[Users::Rust], hops: false };
}

/// Measures, then prints a table or JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::run("shop", &options.shared, async |run| {
        let works = if options.only.is_empty() { Setting::ALL.works } else { &options.only };
        measure(run, Setting { works, users: &options.users, hops: options.hops }).await
    })
}

/// Orders alone, by their old name.
pub(crate) fn run_orders(options: &run::Options) -> anyhow::Result<()> {
    run::run("orders", options, async |run| measure(run, Setting { works: &[Work::Order], ..Setting::ALL }).await)
}

pub(crate) async fn measure(run: &Run, setting: Setting<'_>) -> anyhow::Result<Found> {
    let Setting { works, users, hops } = setting;
    let (cores, plan, mut found) = (run.cores(1)?, run.plan(), Found::default());
    let (mut shops, mut peers, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
    for users in users.iter().filter_map(|users| Some((*users, users.language()?))) {
        let shop = Shop::start(run, &cores, users.1).await?;
        for work in works {
            subjects.extend(work.subject(&users.0.named(*work), &shop).await?);
        }
        shops.push((users.0, shop));
    }
    let (_, first) = shops.first().context("name one of `--users` that has a shop: rust, typescript, quick")?;
    let proxy = if hops { Some(proxy(&cores, first).await?) } else { None };
    if let Some(proxy) = &proxy {
        subjects.push(over_two_hops("user, two hops", &Work::User.path(first), first, proxy).await?);
        subjects.push(over_two_hops("profile, two hops", &Work::Profile.path(first), first, proxy).await?);
    }
    for users in users.iter().filter(|_| works.contains(&Work::User)) {
        let (Some(client), name) = (users.client(), users.named(Work::User)) else { continue };
        match Deno::start(run, &cores, first, client).await? {
            Some(deno) => {
                subjects.push(deno.user(&name, first).await?);
                peers.push(deno);
            }
            None => found.absent.push(name),
        }
    }
    in_turn(BENCH, &mut subjects, plan).await;
    drop((peers, proxy));
    for subject in &subjects {
        found.take(BENCH, subject, base(&subjects, &subject.name, users), cores.count());
    }
    for (users, shop) in shops.iter().filter(|_| works.contains(&Work::Order)) {
        let name = users.named(Work::Order);
        match Orders::measure(shop, plan).await {
            Ok(orders) => found.rows.extend(orders.rows(BENCH, &name, plan, cores.count())),
            Err(error) => found.fail(BENCH, &name, &format!("{error:#}")),
        }
    }
    Ok(found)
}

/// The same work by the first of several.
fn base<'a>(subjects: &'a [Subject], name: &str, users: &[Users]) -> Option<&'a Subject> {
    let [first, _, ..] = users else { return None };
    let name = first.of(name.split(',').next()?);
    subjects.iter().find(|subject| subject.name == name)
}

impl Users {
    /// What a shop is started with; nothing for a peer.
    fn language(self) -> Option<Language> {
        match self {
            Self::Rust => Some(Language::Rust),
            Self::Typescript => Some(Language::TypeScript),
            Self::Quick => Some(Language::Quick),
            Self::Deno | Self::DenoPool => None,
        }
    }

    fn client(self) -> Option<Client> {
        match self {
            Self::Deno => Some(Client::One),
            Self::DenoPool => Some(Client::Pool),
            Self::Rust | Self::Typescript | Self::Quick => None,
        }
    }

    fn named(self, work: Work) -> String {
        self.of(match work {
            Work::User => "user",
            Work::Create => "create",
            Work::Profile => "profile",
            Work::Order => "order",
        })
    }

    fn of(self, work: &str) -> String {
        let by = match self {
            Self::Rust => "",
            Self::Typescript => ", TypeScript",
            Self::Quick => ", TypeScript, quick",
            Self::Deno => ", Deno + Oak",
            Self::DenoPool => ", Deno + Oak, pool",
        };
        format!("{work}{by}")
    }
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
    async fn subject(self, name: &str, shop: &Shop) -> anyhow::Result<Option<Subject>> {
        let (to, path, charged) = (shop.server.address, self.path(shop), shop.charged());
        Ok(match self {
            Self::User | Self::Profile => {
                Some(Subject::get(name, Target::new(to, &path).with_token(&shop.token), charged).await?)
            }
            Self::Create => {
                let body = serde_json::json!({"email": format!("load{NUMBER}@example.com"), "name": "Load"});
                let target = Target::post(to, &path, &body.to_string()).with_token(&shop.token);
                Some(Subject::post(name, target, charged))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Subject {
        Subject::post(name, Target::new("127.0.0.1:4000".parse().unwrap(), "/"), Vec::new())
    }

    #[test]
    fn each_work_is_compared_with_the_first_who_does_it() {
        let mut subjects = Vec::new();
        for users in [Users::Quick, Users::Rust] {
            subjects.push(subject(&users.named(Work::User)));
            subjects.push(subject(&users.named(Work::Create)));
        }
        let base = |name, users: &[Users]| base(&subjects, name, users).map(|subject| subject.name.clone());
        let both = [Users::Quick, Users::Rust];
        assert_eq!(base("create", &both).as_deref(), Some("create, TypeScript, quick"));
        assert_eq!(base("user, Deno + Oak, pool", &both).as_deref(), Some("user, TypeScript, quick"));
        assert_eq!(base("user", &[Users::Rust, Users::Quick]).as_deref(), Some("user"));
        assert_eq!(base("user", &[Users::Rust]), None, "alone there is nothing to compare with");
    }
}
