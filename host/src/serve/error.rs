//! Why the host did not start.

use std::io;

use gateway::{listener::BindError, tls::TlsError};

use crate::{
    backend::{embedded::FolderError, identity::IssuerError, postgres},
    component::ArtifactsError,
    deploy::DeployError,
    engine::EngineError,
    problem::chain,
};

/// One variant for each thing that is started. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] BindError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Data(#[from] FolderError),
    #[error(transparent)]
    Identities(#[from] IssuerError),
    #[error(transparent)]
    Databases(#[from] postgres::StartError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    /// Every service that cannot be deployed, a line each.
    #[error("{}", lines(.0))]
    Deploy(Vec<DeployError>),
    /// Routes that are one of the host's own pages, by their keys.
    #[error("{} is a path of the host itself (`/health`, `/health/live`, `/health/ready`, `/openapi.json`, `/.well-known/jwks.json`); choose another", .0.join(", "))]
    OwnPages(Vec<String>),
    #[error("cannot start the thread of the admin listener")]
    Thread(#[source] io::Error),
}

fn lines(errors: &[DeployError]) -> String {
    errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("\n")
}
