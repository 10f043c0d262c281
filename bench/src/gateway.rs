//! The gateway in front of a server that is no component, beside proxies that do only that.
//!
//! The server behind runs beside the load; its share is shown and does not count.

use std::{net::SocketAddr, process::Command};

use crate::{
    cores::Cores,
    hello::wasi_component,
    lineup::{Lineup, Member},
    load::Target,
    manifest::remote,
    ours::{self, BODY},
    peers::{Peer, Place},
    report::Found,
    run::{self, Run},
    server::free_address,
};

const BENCH: &str = "gateway";

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    shared: run::Options,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Peer(Peer),
    Hyper,
    Archipel,
}

/// The first that is there is what the others are compared with.
const KINDS: &[Kind] = &[Kind::Peer(Peer::Haproxy), Kind::Peer(Peer::NginxProxy), Kind::Hyper, Kind::Archipel];

/// Measures, then prints a table or JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::run(BENCH, &options.shared, measure)
}

pub(crate) async fn measure(run: &Run) -> anyhow::Result<Found> {
    let cores = run.cores(1)?;
    let backend = ours::backend(&cores).await?;
    let mut lineup = Lineup::new(BENCH, cores.count());
    for kind in KINDS {
        let listen = free_address()?;
        lineup
            .start(Member {
                name: kind.name().to_owned(),
                group: "proxy",
                listen,
                target: Target::new(listen, "/"),
                command: kind.command(run, &cores, listen, backend.address),
                behind: Some(ours::behind(&backend)),
            })
            .await;
    }
    let bases: Vec<&str> = KINDS.iter().map(|kind| kind.name()).collect();
    Ok(lineup.measure(run.plan(), &bases).await)
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Peer(peer) => peer.name(),
            Self::Hyper => "native hyper, proxy",
            Self::Archipel => "archipel, services.NAME.url",
        }
    }

    /// Nothing for a peer that is not installed.
    fn command(
        self,
        run: &Run,
        cores: &Cores,
        listen: SocketAddr,
        behind: SocketAddr,
    ) -> anyhow::Result<Option<Command>> {
        let requests = run.plan().connections.get();
        match self {
            Self::Peer(peer) => {
                let (folder, component) = (run.folder()?, wasi_component(run)?);
                let place = Place { listen, behind, folder: &folder, cores, body: BODY, component: &component };
                run.peers.command(peer, &place)
            }
            Self::Hyper => ours::proxy(cores, listen, behind).map(Some),
            Self::Archipel => {
                let far = remote("far", behind, "/{*rest}", requests);
                ours::archipel(run, cores, listen, requests, &far).map(Some)
            }
        }
    }
}
