//! What `[gateway]` and `[cors]` say: the public side.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use gateway::{cors::Cors, limit::Rate, tls};
use ipnet::IpNet;

#[derive(Debug, Clone, PartialEq)]
pub struct GatewaySettings {
    /// At least one.
    pub listen: Vec<SocketAddr>,
    /// Who is asked on every route that does not say; a name of `issuers`.
    pub auth: Option<Arc<str>>,
    pub tls: Option<tls::Files>,
    pub h2c: bool,
    /// Authorities this gateway answers for, lower case; empty: any.
    pub hosts: Vec<String>,
    /// How often one address may ask; none: as often as it likes.
    pub limit: Option<Rate>,
    /// The Redis that counts limits for several hosts.
    pub limit_store: Option<Arc<str>>,
    pub trusted_proxies: Vec<IpNet>,
    /// Which pages of other origins may use the routes that do not say.
    pub cors: Option<Arc<Cors>>,
    pub expose_version: bool,
    pub body_limit_bytes: u64,
    pub timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub keep_alive: Duration,
    pub connections_max: NonZeroUsize,
    pub requests_max: NonZeroUsize,
}
