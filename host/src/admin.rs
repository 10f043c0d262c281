//! The admin listener: health of the host and of each service, and the admin API.
//!
//! A gateway of its own, on a thread of its own, so that it answers whatever guests do. It answers
//! only to its own `Host`, so that no web page can reach it by renaming itself.

use std::net::SocketAddr;

mod answer;
mod api;
mod apply;
mod events;
mod live;
mod openapi;
mod ramp;
mod sites;
mod status;
mod token;

pub use api::{ACTIONS, Api};
pub use events::{EVENT_ACTIONS, EventsApi};
pub use live::{LIVE_ACTIONS, LiveApi, STREAM_MAX};
pub use sites::Sites;
pub use token::Tokens;

use crate::health;

/// What a page of the admin listener shows that asks for no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Health(health::Page),
    Metrics,
}

/// All of them by path.
pub const PAGES: [(&str, Page); 5] = [
    (health::PAGES[0].0, Page::Health(health::PAGES[0].1)),
    (health::PAGES[1].0, Page::Health(health::PAGES[1].1)),
    (health::PAGES[2].0, Page::Health(health::PAGES[2].1)),
    ("/health/services/{name}", Page::Health(health::Page::Service)),
    ("/metrics", Page::Metrics),
];

/// What the `Host` header may be on a listener at `address`, which is also asked for by `named`. On all
/// addresses of a machine, whichever of these is asked for is one more; a name has to be named.
pub fn own_hosts(address: SocketAddr, named: &[String]) -> Vec<String> {
    let port = address.port();
    let mut hosts = named.to_vec();
    hosts.push(address.to_string());
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        hosts.extend([format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")]);
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_goes_by_its_address_and_by_the_names_it_was_given() {
        let own = |address: &str, named: &[&str]| {
            let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
            own_hosts(address.parse().unwrap(), &named)
        };
        assert_eq!(own("10.1.2.3:3900", &["ops.test"]), ["ops.test", "10.1.2.3:3900"]);
        let here = ["127.0.0.1:39", "localhost:39", "127.0.0.1:39", "[::1]:39"];
        assert_eq!(own("127.0.0.1:39", &[]), here);
        // Never everybody.
        assert!(own("0.0.0.0:39", &[]).contains(&"localhost:39".to_owned()));
    }
}
