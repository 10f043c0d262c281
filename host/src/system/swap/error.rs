//! Why a swap changed nothing, and at which step it stopped.

use std::sync::Arc;

use crate::deploy::DeployError;

/// Where a swap stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is no component this host can run.
    Compile,
    /// It needs more than it was granted.
    Permissions,
    /// The migrations of its databases fail.
    Migrate,
    /// It does not start.
    Start,
    /// Its first answer was bad.
    Smoke,
    /// The host could not write down what it runs.
    History,
}

impl Step {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::Permissions => "permissions",
            Self::Migrate => "migrate",
            Self::Start => "start",
            Self::Smoke => "smoke",
            Self::History => "history",
        }
    }
}

/// Why nothing was swapped. What ran before still runs.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    #[error("there is no service `{service}`; `archipel status` lists them")]
    NoService { service: String },

    #[error(
        "service `{service}` is no component: it runs at {places} and is replaced there; where it is changes with the manifest, by `archipel apply`"
    )]
    Elsewhere { service: Arc<str>, places: String },

    #[error("service `{service}` has no version before {version} to go back to")]
    NoPrevious { service: Arc<str>, version: String },

    #[error("no ramp of {service} {version} is led here; `archipel versions {service}` says how one ended")]
    NotLed { service: Arc<str>, version: String },

    #[error("superseded by {version}, which waits in its place")]
    Superseded { version: String },

    #[error("its permissions cannot be accepted: {reason}")]
    NotAccepted { reason: String },

    #[error(
        "it needs more than its manifest grants, which a ramp cannot accept; grant it in the manifest and apply that, or swap it without a ramp"
    )]
    RampNeeds,

    #[error("the smoke request failed: {reason}")]
    Smoke { reason: String },

    #[error(transparent)]
    Deploy(#[from] DeployError),
}

impl SwapError {
    /// The step that failed, where one did.
    pub fn step(&self) -> Option<Step> {
        Some(match self {
            Self::NoService { .. }
            | Self::Elsewhere { .. }
            | Self::NoPrevious { .. }
            | Self::NotLed { .. }
            | Self::Superseded { .. } => return None,
            Self::NotAccepted { .. } | Self::RampNeeds => Step::Permissions,
            Self::Smoke { .. } | Self::Deploy(DeployError::Smoke { .. }) => Step::Smoke,
            Self::Deploy(DeployError::Missing { missing, .. })
                if missing.iter().all(|missing| missing.is_grantable()) =>
            {
                Step::Permissions
            }
            Self::Deploy(DeployError::Needs { .. } | DeployError::Unreadable { .. }) => Step::Permissions,
            Self::Deploy(DeployError::Component { .. } | DeployError::Missing { .. } | DeployError::Link { .. }) => {
                Step::Compile
            }
            Self::Deploy(DeployError::Migrate { .. }) => Step::Migrate,
            Self::Deploy(DeployError::Folder { .. } | DeployError::Trial { .. } | DeployError::Broken { .. }) => {
                Step::Start
            }
            Self::Deploy(DeployError::History { .. }) => Step::History,
        })
    }
}
