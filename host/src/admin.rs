//! The admin listener: health of the host and of each service, and the admin API.
//!
//! A gateway of its own, on a thread of its own, so that it answers whatever guests do. It answers
//! only to its own `Host`, so that no web page can reach it by renaming itself.

use std::net::SocketAddr;

mod answer;
mod api;
mod apply;
mod events;
mod openapi;
mod status;
mod token;

pub use api::{ACTIONS, Api};
pub use events::{EVENT_ACTIONS, EventsApi};
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

/// What the `Host` header may be on a listener at `address`.
pub fn own_hosts(address: SocketAddr) -> Vec<String> {
    if address.ip().is_unspecified() {
        return Vec::new(); // all of this machine's addresses, and only for those who have a token
    }
    let port = address.port();
    let mut hosts = vec![address.to_string()];
    if address.ip().is_loopback() {
        hosts.extend([format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")]);
    }
    hosts
}
