//! Why the host did not start.

use std::io;

use gateway::{listener::BindError, tls::TlsError};

use crate::{component::ArtifactsError, deploy::DeployError, engine::EngineError};
use backend::{embedded::FolderError, identity::IssuerError, postgres, redis};
use document::problem::chain;

/// One variant for each thing that is started. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot make requests to the outside")]
    Outbound(#[from] backend::http::RootsError),

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
    Redis(#[from] redis::StartError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    #[error("cannot start the threads that compile")]
    Compilers(#[source] rayon::ThreadPoolBuildError),
    #[error("cannot open the history of what ran; `host.data` must be a folder this user can write to")]
    Histories(#[source] io::Error),
    #[error("cannot make the admin token; `host.data` must be a folder this user can write to")]
    AdminToken(#[source] io::Error),
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
