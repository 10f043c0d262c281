//! Where this host is, as other hosts and their operators reach it.

use std::net::{IpAddr, SocketAddr};

use backend::upstream::Here;
use manifest::ConsulSettings;

/// Where its listeners are bound: the first of the gateway, and the admin's.
#[derive(Debug, Clone, Copy)]
pub struct Sites {
    pub gateway: SocketAddr,
    pub admin: SocketAddr,
    /// Whether the admin listener speaks TLS.
    pub is_encrypted: bool,
}

impl Sites {
    /// Where others reach the gateway of the host.
    pub fn front(&self, agent: Option<&ConsulSettings>) -> (String, u16) {
        let written = agent.and_then(|agent| agent.address.clone());
        written.unwrap_or_else(|| (self.gateway.ip().to_string(), self.gateway.port()))
    }

    /// What Consul is told of the host of the manifest `system`.
    ///
    /// The admin API is left out where it listens on loopback and the gateway does not: on another machine that
    /// address is another host.
    pub fn as_others_see(&self, system: &str, agent: &ConsulSettings) -> Here {
        let (gateway, port) = self.front(Some(agent));
        let ip = self.admin.ip();
        let host = match ip.is_unspecified() {
            true => Some(gateway.clone()),
            false => (!ip.is_loopback() || is_here(&gateway)).then(|| ip.to_string()),
        };
        let scheme = if self.is_encrypted { "https" } else { "http" };
        let url = |host: String| match host.contains(':') {
            true => format!("{scheme}://[{host}]:{}", self.admin.port()),
            false => format!("{scheme}://{host}:{}", self.admin.port()),
        };
        Here { system: system.to_owned(), admin: host.map(url), gateway: (gateway, port) }
    }
}

/// Whether `host` is this machine for itself alone.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_api_is_told_of_only_where_others_reach_it() {
        let told = |gateway: &str, admin: &str, address: Option<&str>| {
            let agent = ConsulSettings {
                url: "http://127.0.0.1:8500".parse().unwrap(),
                token: None,
                datacenter: None,
                register: true,
                address: address.map(|host| (host.to_owned(), 3000)),
                tags: Vec::new(),
                take_builds: None,
            };
            let sites = Sites { gateway: gateway.parse().unwrap(), admin: admin.parse().unwrap(), is_encrypted: false };
            sites.as_others_see("shop", &agent).admin
        };
        let (here, all) = ("127.0.0.1:3000", "0.0.0.0:3900");
        assert_eq!(told(here, "127.0.0.1:3900", None).as_deref(), Some("http://127.0.0.1:3900"));
        assert_eq!(told("10.0.0.5:3000", "10.0.0.5:3900", None).as_deref(), Some("http://10.0.0.5:3900"));
        assert_eq!(told("0.0.0.0:3000", all, Some("10.0.0.5")).as_deref(), Some("http://10.0.0.5:3900"));
        assert_eq!(told("[fd00::5]:3000", "[::]:3900", None).as_deref(), Some("http://[fd00::5]:3900"));
        assert_eq!(told("10.0.0.5:3000", "127.0.0.1:3900", None), None);
        assert_eq!(told(here, "127.0.0.1:3900", Some("front.internal.example")), None);
    }
}
