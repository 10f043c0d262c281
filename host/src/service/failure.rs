//! Why a guest gave no answer: who is to blame, what it is counted as, what its client is told.

use std::{sync::Arc, time::Instant};

use gateway::{body::BodyError, dispatch::DispatchError};

use super::{breaker::Blame, scene::Scene};
use crate::{capability::exception::Exception, instance::Stopped, telemetry::counts::Trouble};

/// Why a guest gave no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no room for another instance: {0}")]
    NoRoom(String),
    #[error("{0}{1}")]
    Stopped(Stopped, Box<Scene>),
    /// `said` is what it said of itself before.
    #[error("{reason}{scene}")]
    Trapped { reason: String, said: Option<Box<Exception>>, scene: Box<Scene> },
    #[error("the host panicked while it ran: {0}")]
    Panicked(String),
    #[error("{0}")]
    NoAnswer(String),
    /// It said itself that it could not answer this request: an error of its own that nothing caught.
    #[error("{0}")]
    Raised(String),
    #[error("it ran past its deadline while it waited")]
    DeadlineExceeded,
    #[error("its build was replaced, and its time to end, `host.drain`, is over")]
    Left,
    #[error("the request's body did not come: {0}")]
    Upload(BodyError),
    #[error("{0}; its client was slow or went away")]
    Downstream(Box<Failure>),
    #[error("{0}; it had too little time to be blamed")]
    Hurried(Box<Failure>),
}

impl Failure {
    /// Whom it is to be counted against.
    pub(super) fn blame(&self) -> Blame {
        match self {
            Self::NoRoom(_) | Self::Left | Self::Upload(_) | Self::Downstream(_) | Self::Hurried(_) => Blame::Nobody,
            failure if failure.is_raised() => Blame::Request,
            _ => Blame::Service,
        }
    }

    /// A language whose errors are exceptions may end the instance with one, which is a trap to the engine. A panic is
    /// none: it is a trap by the contract.
    fn is_raised(&self) -> bool {
        match self {
            Self::Raised(_) => true,
            Self::Trapped { said, .. } => said.as_ref().is_some_and(|said| !said.is_panic()),
            _ => false,
        }
    }

    /// Being late before `fair_by` is not the component's fault: otherwise a caller in a hurry could
    /// have its callee put to rest for everybody.
    pub(super) fn unless_hurried(self, fair_by: Instant) -> Self {
        let is_late = matches!(self, Self::DeadlineExceeded | Self::Stopped(Stopped::Deadline, _));
        if is_late && Instant::now() < fair_by { Self::Hurried(Box::new(self)) } else { self }
    }

    /// What it is counted as.
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::NoRoom(_) => Trouble::NoRoom,
            Self::Stopped(Stopped::Cpu, _) => Trouble::Cpu,
            Self::Stopped(Stopped::Deadline, _) | Self::DeadlineExceeded => Trouble::Timeout,
            Self::Left => Trouble::Replaced,
            failure if failure.is_raised() => Trouble::Exception,
            Self::Trapped { .. } | Self::Raised(_) => Trouble::Trap,
            Self::Panicked(_) => Trouble::Panic,
            Self::NoAnswer(_) => Trouble::NoAnswer,
            Self::Upload(_) | Self::Downstream(_) => Trouble::Client,
            Self::Hurried(failure) => failure.trouble(),
        }
    }

    pub(super) fn into_dispatch_error(self, service: Arc<str>) -> DispatchError {
        let reason = self.to_string();
        match self {
            Self::NoRoom(_) => DispatchError::Overloaded { service },
            Self::Stopped(..) | Self::DeadlineExceeded | Self::Left => DispatchError::TimedOut { service, reason },
            failure if failure.is_raised() => DispatchError::Raised { service, reason },
            Self::Trapped { .. } | Self::Raised(_) | Self::Panicked(_) => DispatchError::Trapped { service, reason },
            Self::NoAnswer(_) => DispatchError::InvalidAnswer { service, reason },
            Self::Upload(error) => DispatchError::RequestBody(error),
            Self::Downstream(failure) | Self::Hurried(failure) => failure.into_dispatch_error(service),
        }
    }

    /// A trap of which nothing is known but `reason`.
    pub(super) fn trapped(reason: impl ToString) -> Self {
        Self::Trapped { reason: reason.to_string(), said: None, scene: Box::default() }
    }

    /// What the guest was doing, as far as is known.
    pub(super) fn scene(&self) -> Option<&Scene> {
        match self {
            Self::Stopped(_, scene) | Self::Trapped { scene, .. } => Some(scene),
            Self::Downstream(failure) | Self::Hurried(failure) => failure.scene(),
            _ => None,
        }
    }

    /// What the guest said of it itself.
    pub(super) fn said(&self) -> Option<&Exception> {
        match self {
            Self::Trapped { said, .. } => said.as_deref(),
            Self::Downstream(failure) | Self::Hurried(failure) => failure.said(),
            _ => None,
        }
    }

    /// The same, of one that gave no answer; where the guest said before why, it is that. A panic stays a broken answer.
    pub(super) fn after(self, said: Option<Exception>) -> Self {
        match (self, said) {
            (Self::NoAnswer(reason), Some(said)) if said.is_panic() => {
                Self::NoAnswer(format!("{said}; then: {reason}"))
            }
            (Self::NoAnswer(reason), Some(said)) => Self::Raised(format!("{said}; then: {reason}")),
            (failure, _) => failure,
        }
    }
}
