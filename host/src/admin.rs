//! The admin listener: health of the host and of each service, and the admin API.
//!
//! A gateway of its own, on a thread of its own, so that it answers whatever guests do. It answers
//! only to its own `Host`, so that no web page can reach it by renaming itself.

use std::{net::SocketAddr, sync::Arc};

use gateway::dispatch::Dispatch;

mod answer;
mod api;
mod apply;
mod events;
mod openapi;
mod status;
mod token;

pub use api::{ACTIONS, Api};
pub use apply::{Apply, Applying, Done};
pub use events::{EVENT_ACTIONS, EventsApi};
pub use token::Tokens;

use crate::health::{Health, Page, Pages};

/// The pages of the admin listener, and those the gateway shows of the host itself.
pub fn health_pages(health: &Arc<Health>) -> Vec<(&'static str, Arc<dyn Dispatch>)> {
    let page = |page| Arc::new(Pages { health: health.clone(), page }) as Arc<dyn Dispatch>;
    vec![("/health", page(Page::Whole)), ("/health/ready", page(Page::Whole)), ("/health/live", page(Page::Live))]
}

/// The page of each service by name.
pub fn service_page(health: &Arc<Health>) -> (&'static str, Arc<dyn Dispatch>) {
    ("/health/services/{name}", Arc::new(Pages { health: health.clone(), page: Page::Service }))
}

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
