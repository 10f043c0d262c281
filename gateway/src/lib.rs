//! Archipel's gateway: speaks HTTP, routes, limits and reports; knows nothing of WebAssembly
//! or databases. Start at `gateway.rs`, the life of a request on one page.

pub mod body;
pub mod connection;
pub mod context;
pub mod dispatch;
pub mod drain;
pub mod framing;
pub mod listener;
pub mod tls;
