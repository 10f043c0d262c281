//! Starting and stopping, in order.
//!
//! Start: addresses, data folder, databases, engine, components, routes; only then is anything
//! accepted. Stop, the other way round: not ready, listeners, requests in flight, databases, the
//! admin listener last. Nothing else in the host knows this order.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::{drain::Drain, gateway::Gateway, listener::Bound};
use tokio::task::JoinHandle;

use crate::{
    backend::postgres::Databases,
    component::Artifacts,
    deploy::{self, Generation, Watch},
    engine::{Engine, EngineSettings},
    health::Health,
    manifest::{Environment, Manifest},
};

mod front;
mod probes;
mod report;
mod thread;

pub use report::Report;
use thread::Listening;

/// Everything a start needs from outside; read once.
pub struct Surroundings {
    pub environment: Environment,
    pub watch: Arc<dyn Watch>,
}

/// Why the host did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] gateway::listener::BindError),
    #[error(transparent)]
    Tls(#[from] gateway::listener::TlsError),
    #[error(transparent)]
    Databases(#[from] crate::backend::postgres::StartError),
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
    #[error(transparent)]
    Artifacts(#[from] crate::component::ArtifactsError),
    #[error("{}", .0.iter().map(chain).collect::<Vec<_>>().join("\n"))]
    Deploy(Vec<deploy::DeployError>),
    #[error("cannot start the thread of the admin listener")]
    Thread(#[source] std::io::Error),
}

fn chain(error: &deploy::DeployError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}

/// A host that accepts requests.
pub struct Running {
    manifest: Manifest,
    databases: Arc<Databases>,
    generation: Arc<Generation>,
    health: Arc<Health>,
    gateway: Listening,
    admin: Listening,
    housekeeping: JoinHandle<()>,
}

/// Starts everything `manifest` describes, or nothing.
pub async fn start(manifest: Manifest, surroundings: Surroundings) -> Result<Running, StartError> {
    let gateway_addresses = Bound::bind(&manifest.gateway.listen)?;
    let admin_address = Bound::bind(&[manifest.admin_listen])?;
    let tls = front::tls(&manifest.gateway)?;

    let databases = Arc::new(Databases::start(&manifest, &surroundings.environment).await?);
    let prepared = prepare(&manifest, &databases, &surroundings.watch).await;
    let (engine, generation) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            databases.stop().await;
            return Err(error);
        }
    };
    drop(engine);

    let health = Arc::new(Health::new(probes::of(&manifest, &generation, &databases)));
    let gateway = front::gateway(&manifest, &generation, &health);
    let admin = front::admin(&admin_address, &health);
    Ok(Running {
        gateway: thread::here(gateway_addresses, tls, gateway, &manifest.gateway),
        admin: thread::apart(admin_address, admin, &manifest.gateway).map_err(StartError::Thread)?,
        housekeeping: tokio::spawn(housekeeping(generation.clone())),
        manifest,
        databases,
        generation,
        health,
    })
}
