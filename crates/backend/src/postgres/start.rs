//! What becomes of a start: how far it is, and why there is none.

use std::{sync::Arc, time::Instant};

use super::endpoint::{ConnectError, EndpointError};
use crate::{
    embedded::{postgres::ServerError, roles::RolesError},
    migrate::MigrateError,
    outbox::OutboxError,
};

/// Why a manifest's databases cannot be used. Nothing keeps running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start the private PostgreSQL")]
    Server(#[from] ServerError),
    #[error("cannot prepare database `{database}`")]
    Roles {
        database: Arc<str>,
        #[source]
        source: RolesError,
    },
    #[error("`postgres.{database}.url` cannot be used")]
    Url {
        database: Arc<str>,
        #[source]
        source: EndpointError,
    },
    #[error(
        "the server of `postgres.{database}.url` cannot be used; is it running, and are host, port, role and password right?"
    )]
    Unreachable {
        database: Arc<str>,
        #[source]
        source: ConnectError,
    },
    #[error("`postgres.{database}` has no `url_read`, and a service may only read it")]
    NoReader { database: Arc<str> },
    #[error("cannot prepare database `{database}` for events")]
    Outbox {
        database: Arc<str>,
        #[source]
        source: OutboxError,
    },
    #[error("the migrations of database `{database}` failed")]
    Migrate {
        database: Arc<str>,
        #[source]
        source: MigrateError,
    },
    #[error(
        "the private PostgreSQL is not running or has no room for database `{database}`; restart the host for it, or lower `connections_max`"
    )]
    NeedsRestart { database: Arc<str> },
}

/// What is happening during the start, for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    StartingServer,
    Preparing {
        database: &'a str,
    },
    /// `files` were missing, and were applied from `began` on.
    Migrated {
        database: &'a str,
        files: usize,
        began: Instant,
    },
}
