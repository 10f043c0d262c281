//! What a manifest says of a service that is no component: where it is and how it is spoken to.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use super::{ConsulSettings, DnsQuestion, DnsSettings, Proof, UpstreamTls};
use grant::{
    Permissions,
    net::{Net, NetAllow, Target},
};

/// `[services.NAME]` with a `url`.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamSettings {
    pub name: Arc<str>,
    pub at: Whereabouts,
    pub limits: UpstreamLimits,
    /// How it is asked whether it is well; none: only its answers tell.
    pub health: Option<HealthCheck>,
    pub pool: PoolSettings,
    pub tls: UpstreamTls,
    /// How it knows that it is this host that calls.
    pub proof: Proof,
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq)]
pub enum Whereabouts {
    /// At least one; `http` or `https`, none twice.
    Fixed(Vec<Target>),
    /// Consul is asked for it under this name.
    Consul { name: String, agent: ConsulSettings },
    /// DNS is asked for it.
    Dns { question: DnsQuestion, by: DnsSettings },
}

/// What of `limits` is the host's to enforce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Wall clock of one request, its answer's last byte included.
    pub timeout: Duration,
    /// Requests in the service at once, at all of its addresses together.
    pub concurrency: NonZeroU32,
    pub queue_length: u32,
    pub queue_wait: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What each address is asked for; below 400 is well.
    pub path: String,
    pub interval: Duration,
}

/// The connections that wait for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// To each address.
    pub connections_max: NonZeroUsize,
    pub idle: Duration,
    /// HTTP/2 is spoken where there is no TLS to agree on it.
    pub http2: bool,
}

impl UpstreamSettings {
    /// Where it is, as the manifest writes it: `http://10.0.0.7:4000`, `consul:orders`.
    pub fn places(&self) -> Vec<String> {
        match &self.at {
            Whereabouts::Fixed(urls) => {
                urls.iter().map(|url| format!("{}://{}", url.scheme, url.authority())).collect()
            }
            Whereabouts::Consul { name, .. } => vec![format!("consul:{name}")],
            Whereabouts::Dns { question, .. } => vec![question.to_string()],
        }
    }

    /// Whether those that are found by name are spoken to in TLS.
    pub fn is_encrypted(&self) -> bool {
        self.tls != UpstreamTls::default()
    }

    /// What the host dials for it by the manifest's own word, as a component would need it.
    pub fn dials(&self) -> Permissions {
        let written = |url: &Target| format!("{}://{url}", url.scheme);
        let urls: Vec<String> = match &self.at {
            Whereabouts::Fixed(urls) => urls.iter().map(written).collect(),
            Whereabouts::Consul { agent, .. } => vec![written(&agent.url)],
            Whereabouts::Dns { question, .. } => {
                vec![format!("{}://{}", if self.is_encrypted() { "https" } else { "http" }, question.dialled())]
            }
        };
        let entries = urls.iter().filter_map(|url| url.parse().ok());
        let net = Net { allow: NetAllow::Only(entries.collect()), ..Net::default() };
        Permissions { net, ..Permissions::default() }
    }
}
