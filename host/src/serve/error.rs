//! Why the host did not start.

use std::io;

use gateway::{listener::BindError, tls::TlsError};

use crate::system::{self, NextError};

/// One variant for each thing that is started. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] BindError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot make the admin token; `host.data` must be a folder this user can write to")]
    AdminToken(#[source] io::Error),
    #[error(transparent)]
    Ground(#[from] system::StartError),
    #[error(transparent)]
    System(#[from] NextError),
    #[error("cannot start the thread of the admin listener")]
    Thread(#[source] io::Error),
}
