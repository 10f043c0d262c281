//! Hello, world: what a component costs over a native server that does the same, and over the
//! peers that are installed.

use std::{fs, net::SocketAddr, num::NonZeroU32, path::PathBuf, process::Command};

use clap::ValueEnum;

use crate::{
    cores::Cores,
    lineup::{Lineup, Member},
    load::Target,
    manifest::{Reuse, limits, service},
    ours::{self, BODY},
    peers::{Peer, Place},
    report::Found,
    run::{self, Run},
    server::{Server, free_address},
    subject::Plan,
};

/// In the names of interfaces that only our host has.
const OUR_PACKAGES: &[u8] = b"archipel:";

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    shared: run::Options,
    /// Measure only these; may be repeated. Ratios need `native`.
    #[arg(long)]
    only: Vec<Kind>,
    /// How many processors the servers have.
    #[arg(long, default_value = "1")]
    processors: NonZeroU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Bare hyper.
    Native,
    /// The host, a fresh instance for each request.
    Fresh,
    /// The host, an instance for up to 128 requests.
    Warm,
    Nginx,
    /// In front of bare hyper, without its share.
    Haproxy,
    DenoServe,
    DenoOak,
    NodeHttp,
    /// A fresh instance for each request.
    WasmtimeFresh,
    /// An instance for up to 128 requests.
    WasmtimeWarm,
    Wash,
}

/// Who is measured, and how.
pub(crate) struct Setting<'a> {
    /// What the rows are filed under.
    pub(crate) bench: &'a str,
    /// How many the servers have.
    pub(crate) processors: usize,
    pub(crate) plan: Plan,
    pub(crate) kinds: &'a [Kind],
}

/// Measures, then prints a table or JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::run("hello", &options.shared, async |run| {
        let kinds = if options.only.is_empty() { Kind::value_variants() } else { &options.only };
        let processors = options.processors.get() as usize;
        measure(run, Setting { bench: "hello", processors, plan: run.plan(), kinds }).await
    })
}

/// All of `kinds` that can be had, in turn.
pub(crate) async fn measure(run: &Run, setting: Setting<'_>) -> anyhow::Result<Found> {
    let Setting { bench, processors, plan, kinds } = setting;
    let cores = run.cores(processors)?;
    let behind = if kinds.contains(&Kind::Haproxy) { Some(ours::backend(&cores).await?) } else { None };
    let mut lineup = Lineup::new(bench, processors);
    for kind in kinds {
        let listen = free_address()?;
        lineup
            .start(Member {
                name: kind.name().to_owned(),
                group: kind.group(),
                listen,
                target: Target::new(listen, "/"),
                command: kind.command(run, &cores, listen, behind.as_ref(), plan),
                behind: behind.as_ref().filter(|_| *kind == Kind::Haproxy).map(ours::behind),
            })
            .await;
    }
    Ok(lineup.measure(plan, &[Kind::Native.name()]).await)
}

impl Kind {
    fn peer(self) -> Option<Peer> {
        Some(match self {
            Self::Native | Self::Fresh | Self::Warm => return None,
            Self::Nginx => Peer::Nginx,
            Self::Haproxy => Peer::Haproxy,
            Self::DenoServe => Peer::DenoServe,
            Self::DenoOak => Peer::DenoOak,
            Self::NodeHttp => Peer::NodeHttp,
            Self::WasmtimeFresh => Peer::WasmtimeFresh,
            Self::WasmtimeWarm => Peer::WasmtimeWarm,
            Self::Wash => Peer::Wash,
        })
    }

    fn name(self) -> &'static str {
        match self.peer() {
            Some(peer) => peer.name(),
            None if self == Self::Native => "native hyper",
            None if self == Self::Fresh => "archipel, fresh",
            None => "archipel, reused",
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::Fresh | Self::Warm => "host",
            Self::Haproxy => "proxy",
            _ => "server",
        }
    }

    /// Nothing for a peer that is not installed.
    fn command(
        self,
        run: &Run,
        cores: &Cores,
        listen: SocketAddr,
        behind: Option<&Server>,
        plan: Plan,
    ) -> anyhow::Result<Option<Command>> {
        if let Some(peer) = self.peer() {
            let (folder, component) = (run.folder()?, wasi_component(run)?);
            let behind = behind.map_or(listen, |behind| behind.address);
            let place = Place { listen, behind, folder: &folder, cores, body: BODY, component: &component };
            return run.peers.command(peer, &place);
        }
        if self == Self::Native {
            return ours::native(cores, listen).map(Some);
        }
        let (requests, reuse) = (plan.connections.get(), if self == Self::Warm { Reuse::Often } else { Reuse::Never });
        let hello = service("hello", &run.component("hello")?, "/{*rest}", &limits(requests, reuse))?;
        ours::archipel(run, cores, listen, requests, &hello).map(Some)
    }
}

/// What hosts of components that know nothing of ours can serve: hello, as long as it is made of
/// nothing but the standard, or the one without an sdk.
pub(crate) fn wasi_component(run: &Run) -> anyhow::Result<PathBuf> {
    let hello = run.component("hello")?;
    let is_ours = fs::read(&hello)?.windows(OUR_PACKAGES.len()).any(|bytes| bytes == OUR_PACKAGES);
    if is_ours { run.component("plain") } else { Ok(hello) }
}
