//! From what a file says to what the host runs with: every rule that its shape cannot express.
//!
//! Each check returns a value even when it found a mistake, so that the checks after it find
//! theirs; whoever started them throws everything away when there are problems. Files named in
//! a manifest are looked at for existence only.

mod admin;
mod auth;
mod checking;
mod cors;
mod database;
mod discovery;
mod environment;
mod events;
mod folder;
mod gateway;
mod gather;
mod host;
mod keystore;
mod keyvalue;
mod limited;
mod limiting;
mod limits;
mod redis;
mod route;
mod secrets;
mod service;
mod swap;
mod telemetry;
mod tls;
mod trust;
mod upstream;
mod url;

pub use self::auth::{key_document, ttl};
pub(super) use self::{
    admin::admin,
    auth::{Auths, GatewayAuth, auth},
    checking::Check,
    cors::cors,
    database::database,
    discovery::{Guides, consul, dns},
    events::events,
    folder::apart,
    gateway::gateway,
    host::host,
    keystore::{StoreNames, own_keys, own_trust_key},
    keyvalue::keyvalue,
    limited::limited,
    redis::{redis, redis_count},
    route::{conflicts, route, unused},
    secrets::secrets,
    service::{Surroundings, service, set},
    telemetry::telemetry,
    trust::trust,
    upstream::upstream,
};
