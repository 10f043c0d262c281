//! What a manifest says of who knows where services are.

use grant::net::Target;

use super::Secret;

/// An agent of Consul.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsulSettings {
    pub url: Target,
    pub token: Option<Secret>,
    pub datacenter: Option<String>,
    /// It is told of our services.
    pub register: bool,
    /// Host and port by which others reach our gateway; none: those of its first listener.
    pub address: Option<(String, u16)>,
    pub tags: Vec<String>,
}
