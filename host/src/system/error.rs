//! Why what is wanted does not run.

use std::io;

use super::routes::own_paths;
use crate::{component::ArtifactsError, deploy::DeployError, engine::EngineError};
use backend::{
    embedded::FolderError,
    identity::{IssuerError, KeyFileError},
    postgres, redis,
    roots::RootsError,
};
use document::problem::{Problems, chain};

/// Why a host has no ground to run a system on. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot make requests to the outside")]
    Outbound(#[from] RootsError),
    #[error(transparent)]
    Data(#[from] FolderError),
    #[error("cannot open the history of what ran; `host.data` must be a folder this user can write to")]
    Histories(#[source] io::Error),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    #[error("cannot start the threads that compile")]
    Compilers(#[source] rayon::ThreadPoolBuildError),
}

/// Why a manifest cannot run, onto nothing or in place of another one. Whatever ran before still runs.
#[derive(Debug, thiserror::Error)]
pub enum NextError {
    /// It needs something that is only there after a restart.
    #[error("{0}")]
    NeedsRestart(String),
    #[error(transparent)]
    Identities(#[from] IssuerError),
    #[error(transparent)]
    Voucher(#[from] KeyFileError),
    #[error(transparent)]
    Databases(#[from] postgres::StartError),
    #[error(transparent)]
    Redis(#[from] redis::StartError),
    /// Every service that cannot be deployed, a line each.
    #[error("{}", lines(.0))]
    Services(Vec<DeployError>),
    /// Routes that are one of the host's own pages, by their keys.
    #[error("{} is a path of the host itself ({}); choose another", .0.join(", "), own_paths())]
    OwnPages(Vec<String>),
}

/// Why a manifest was not applied. What ran before still runs.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("another manifest is being applied; try again when it is done")]
    Busy,
    #[error("the manifest is not right; nothing was changed:\n{0}")]
    Wrong(Problems),
    #[error("a running host does not take this from a manifest that is sent to it; nothing was changed:\n{}", .0.join("\n"))]
    Refused(Vec<String>),
    #[error("{0}; nothing was changed")]
    NeedsRestart(String),
    #[error("nothing was changed: {0}")]
    Backend(String),
    #[error("nothing was changed:\n{}", lines(.0))]
    Services(Vec<DeployError>),
}

impl From<NextError> for ApplyError {
    fn from(error: NextError) -> Self {
        match error {
            NextError::NeedsRestart(reason) => Self::NeedsRestart(reason),
            NextError::Services(errors) => Self::Services(errors),
            NextError::OwnPages(_) => Self::Refused(vec![chain(&error)]),
            NextError::Identities(_) | NextError::Voucher(_) | NextError::Databases(_) | NextError::Redis(_) => {
                Self::Backend(chain(&error))
            }
        }
    }
}

fn lines(errors: &[DeployError]) -> String {
    errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("\n")
}
