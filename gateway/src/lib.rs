//! Archipel's gateway: speaks HTTP, routes, limits and reports; knows nothing of WebAssembly
//! or databases. Start at `gateway.rs`, the life of a request on one page.

mod access;
mod admission;
mod answer;
pub mod auth;
pub mod authority;
pub mod body;
pub mod call;
mod client;
pub mod connection;
pub mod context;
pub mod cors;
pub mod counts;
pub mod dispatch;
pub mod drain;
pub mod error;
pub mod fixed;
pub mod framing;
pub mod gateway;
pub mod gather;
mod guard;
mod handed;
pub mod headers;
pub mod limit;
pub mod listener;
pub mod path;
pub mod places;
mod preflights;
mod quiet;
pub mod retry;
pub mod route;
pub mod router;
pub mod tls;
pub mod trust;
mod upgrade;
