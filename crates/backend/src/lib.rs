//! What the host itself talks to on behalf of guests: databases and the servers it starts for
//! them, the services of this host, the outside.
//!
//! A backend knows SQL and sockets; it never sees WIT or wasmtime types, and does nothing on a
//! guest's behalf without a [`Granted`](grant::Granted) that says it may. Start at
//! [`postgres::Databases`] and [`redis::Stores`].

mod crowd;
pub mod directory;
pub mod embedded;
pub mod events;
pub mod folder;
pub mod http;
pub mod identity;
pub mod keyvalue;
pub mod leash;
pub mod memory;
pub mod migrate;
pub mod outbox;
pub mod postgres;
pub mod redis;
pub mod registry;
pub mod roots;
pub mod secrets;
pub mod unjudged;
pub mod upstream;

use std::sync::Arc;

/// Everything the host reaches on behalf of its services; started once, shared by all of them. An
/// applied manifest makes another value of what is common and what is new.
#[derive(Clone)]
pub struct Backends {
    pub databases: Arc<postgres::Databases>,
    pub identity: Arc<identity::Identities>,
    /// Other hosts whose word is believed; none: nobody's.
    pub trust: Option<Arc<gateway::trust::Trust>>,
    /// What proves to other hosts that it is this one; none: nobody is shown it.
    pub voucher: Option<Arc<identity::Voucher>>,
    /// The services that others call.
    pub directory: Arc<directory::Directory>,
    /// The way to the outside.
    pub outbound: http::Outbound,
    pub redis: Arc<redis::Stores>,
    pub keyvalue: Arc<keyvalue::KeyValues>,
    /// What carries events, if the manifest names it.
    pub events: Option<Arc<events::Events>>,
    /// Whose events are carried on from databases.
    pub publishers: Arc<outbox::Publishers>,
}
