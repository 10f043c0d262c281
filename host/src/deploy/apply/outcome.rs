//! What became of a manifest that was applied.

use std::path::PathBuf;

use super::super::DeployError;
use document::problem::{Problems, chain};

/// The manifest that runs, for `status`.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Applied {
    pub file: PathBuf,
    /// Of the text that runs; the file may say something else by now.
    pub digest: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// The name of the token that applied it; `manifest` since a start.
    pub by: String,
    /// Keys of it that take effect with a restart only.
    pub restart: Vec<String>,
}

/// What an applied manifest means for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Kept,
    Changed,
    Added,
    Removed,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Removed => "removed",
        })
    }
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
    #[error("nothing was changed:\n{}", .0.iter().map(|error| chain(error)).collect::<Vec<_>>().join("\n"))]
    Services(Vec<DeployError>),
}
