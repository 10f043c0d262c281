//! Why a guest gave no answer: who is to blame, what it is counted as, what its client is told.

use std::{sync::Arc, time::Instant};

use gateway::{body::BodyError, dispatch::DispatchError};

use crate::{
    instance::{Refusal, Stopped},
    telemetry::counts::Trouble,
};

/// Why a guest gave no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no room for another instance: {0}")]
    NoRoom(String),
    #[error("{0}")]
    Stopped(#[from] Stopped),
    #[error("{0}")]
    Trapped(String),
    #[error("the host panicked while it ran: {0}")]
    Panicked(String),
    #[error("{0}")]
    NoAnswer(String),
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
    /// Whether the component is to blame, for the breaker.
    pub(super) fn is_the_guests(&self) -> bool {
        !matches!(self, Self::NoRoom(_) | Self::Left | Self::Upload(_) | Self::Downstream(_) | Self::Hurried(_))
    }

    /// Being late before `fair_by` is not the component's fault: otherwise a caller in a hurry could
    /// have its callee put to rest for everybody.
    pub(super) fn unless_hurried(self, fair_by: Instant) -> Self {
        let is_late = matches!(self, Self::DeadlineExceeded | Self::Stopped(Stopped::Deadline));
        if is_late && Instant::now() < fair_by { Self::Hurried(Box::new(self)) } else { self }
    }

    /// What it is counted as.
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::NoRoom(_) => Trouble::NoRoom,
            Self::Stopped(Stopped::Cpu) => Trouble::Cpu,
            Self::Stopped(Stopped::Deadline) | Self::DeadlineExceeded => Trouble::Timeout,
            Self::Left => Trouble::Replaced,
            Self::Trapped(_) => Trouble::Trap,
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
            Self::Stopped(_) | Self::DeadlineExceeded | Self::Left => DispatchError::TimedOut { service, reason },
            Self::Trapped(_) | Self::Panicked(_) => DispatchError::Trapped { service, reason },
            Self::NoAnswer(_) => DispatchError::InvalidAnswer { service, reason },
            Self::Upload(error) => DispatchError::RequestBody(error),
            Self::Downstream(failure) | Self::Hurried(failure) => failure.into_dispatch_error(service),
        }
    }
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        match error.downcast_ref::<Stopped>() {
            Some(stopped) => Self::Stopped(*stopped),
            None => Self::Trapped(format!("{error:#}")),
        }
    }
}

/// A trap after memory was refused is most likely its consequence; the log says both.
pub(super) fn explained(error: wasmtime::Error, refusal: Option<Refusal>) -> Failure {
    match (Failure::from(error), refusal) {
        (Failure::Trapped(trap), Some(refusal)) => Failure::Trapped(format!("{refusal}; then: {trap}")),
        (failure, _) => failure,
    }
}
