//! What grows: services, routes, connections, processors; and a start to the first answer.

mod start;

use std::path::Path;

use clap::ValueEnum;

use crate::{
    hello::{self, Kind, Setting},
    lineup::{Lineup, Member},
    load::Target,
    manifest::{Reuse, limits, route, service},
    ours,
    progress::say,
    report::Found,
    row::Row,
    run::{self, Run},
    server::free_address,
    subject::Plan,
};

const SERVICES: [u32; 3] = [1, 50, 200];
const ROUTES: [u32; 3] = [1, 100, 1000];
const CONNECTIONS: [u32; 4] = [1, 32, 256, 1024];
/// On one processor and on two.
const PROCESSORS: [usize; 2] = [1, 2];

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    shared: run::Options,
    /// Measure only these; may be repeated.
    #[arg(long)]
    only: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// 1, 50 and 200 services, each asked in turn; and what they hold when idle.
    Services,
    /// 1, 100 and 1 000 routes to one service, each asked in turn.
    Routes,
    /// 1, 32, 256 and 1 024 connections.
    Connections,
    /// Servers on one processor and on two.
    Processors,
    /// From the start of the process to its first answer, everything compiled.
    Start,
}

/// Measures, then prints a table or JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::run("scale", &options.shared, async |run| {
        let parts = if options.only.is_empty() { Part::value_variants() } else { &options.only };
        let mut found = Found::default();
        for part in parts {
            found.add(part.measure(run).await?);
        }
        Ok(found)
    })
}

impl Part {
    pub(crate) async fn measure(self, run: &Run) -> anyhow::Result<Found> {
        match self {
            Self::Services => grown(run, "services", "service", &SERVICES, services).await,
            Self::Routes => grown(run, "routes", "route", &ROUTES, routes).await,
            Self::Connections => connections(run).await,
            Self::Processors => processors(run).await,
            Self::Start => start::measure(run).await,
        }
    }
}

/// A system of some size.
struct System {
    /// Its services and routes.
    manifest: String,
    /// What is asked, in turn.
    paths: Vec<String>,
}

/// A host of each size, idle and then under the same load, each against the smallest.
async fn grown(
    run: &Run,
    many: &str,
    one: &str,
    sizes: &[u32],
    system: fn(&Path, u32, u32) -> anyhow::Result<System>,
) -> anyhow::Result<Found> {
    let (cores, plan, component) = (run.cores(1)?, run.short_plan(), run.component("hello")?);
    let requests = plan.connections.get();
    let bench = format!("scale, {many}");
    let mut lineup = Lineup::new(&bench, cores.count());
    let name = |size: u32| format!("{size} {}", if size == 1 { one } else { many });
    for size in sizes {
        let listen = free_address()?;
        let System { manifest, paths } = system(&component, requests, *size)?;
        lineup
            .start(Member {
                name: name(*size),
                group: "host",
                listen,
                target: Target::each(listen, paths),
                command: ours::archipel(run, &cores, listen, requests, &manifest).map(Some),
                behind: None,
            })
            .await;
    }
    let mut idle = Vec::new();
    for (name, server) in lineup.running() {
        let bytes = crate::process::pss_bytes(server.pid())?;
        say(&format!("  {name}, idle: {} MiB", bytes >> 20));
        let row = Row::new(&bench, &format!("{name}, idle"), "request", cores.count());
        idle.push(Row { pss_bytes: Some(bytes), ..row });
    }
    let mut found = Found { rows: idle, ..Found::default() };
    found.add(lineup.measure(plan, &[&name(sizes[0])]).await);
    Ok(found)
}

/// So many services, and a path of each.
fn services(component: &Path, requests: u32, size: u32) -> anyhow::Result<System> {
    let limits = limits(requests, Reuse::Often);
    let one = |number| service(&format!("hello{number}"), component, &format!("/{number}/{{*rest}}"), &limits);
    Ok(System { manifest: (0..size).map(one).collect::<anyhow::Result<_>>()?, paths: paths(size) })
}

/// One service behind so many routes, and a path of each.
fn routes(component: &Path, requests: u32, size: u32) -> anyhow::Result<System> {
    let first = service("hello", component, "/0/{*rest}", &limits(requests, Reuse::Often))?;
    let others = (1..size).map(|number| route(&format!("/{number}/{{*rest}}"), "hello"));
    Ok(System { manifest: [first].into_iter().chain(others).collect(), paths: paths(size) })
}

fn paths(size: u32) -> Vec<String> {
    (0..size).map(|number| format!("/{number}/hello")).collect()
}

async fn connections(run: &Run) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for count in CONNECTIONS {
        let plan = Plan { connections: count.try_into()?, ..run.short_plan() };
        let bench = &format!("scale, {count} connection{}", if count == 1 { "" } else { "s" });
        let kinds = &[Kind::Native, Kind::Fresh, Kind::Warm];
        found.add(hello::measure(run, Setting { bench, processors: 1, plan, kinds }).await?);
    }
    Ok(found)
}

async fn processors(run: &Run) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for processors in PROCESSORS {
        let bench = &format!("scale, {processors} processor{}", if processors == 1 { "" } else { "s" });
        let kinds = &[Kind::Native, Kind::Fresh, Kind::Warm, Kind::DenoOak, Kind::WasmtimeFresh, Kind::WasmtimeWarm];
        found.add(hello::measure(run, Setting { bench, processors, plan: run.short_plan(), kinds }).await?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_asked_for_and_leads_to_its_service() {
        for (system, services) in
            [(services(Path::new("/a.wasm"), 32, 50), 50), (routes(Path::new("/a.wasm"), 32, 50), 1)]
        {
            let System { manifest, paths } = system.unwrap();
            let manifest: toml::Table = manifest.parse().unwrap();
            assert_eq!(manifest["services"].as_table().unwrap().len(), services);
            let routes = manifest["routes"].as_array().unwrap();
            let prefixes = routes.iter().map(|route| route["path"].as_str().unwrap().trim_end_matches("{*rest}"));
            assert_eq!((routes.len(), paths.len()), (50, 50));
            assert!(prefixes.zip(&paths).all(|(prefix, path)| path.starts_with(prefix)));
        }
    }
}
