//! What the host itself talks to on behalf of guests: databases, and the servers it starts for
//! them.
//!
//! A backend knows SQL and sockets; it never sees WIT or wasmtime types, and does nothing on a
//! guest's behalf without a [`Granted`](crate::grant::Granted) that says it may. Start at
//! [`postgres::Databases`].

pub mod embedded;
pub mod identity;
pub mod migrate;
pub mod postgres;

use std::sync::Arc;

/// Everything the host reaches on behalf of its services; started once, shared by all of them.
pub struct Backends {
    pub databases: Arc<postgres::Databases>,
    pub identity: Arc<identity::Identities>,
}
