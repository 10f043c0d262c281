//! A host of one's own for each test, and what to ask it.

mod host;
mod http;
mod log;
mod postgres;
mod shared;
pub mod shop;

pub use host::Host;
pub use http::{Answer, Connection, exchange};
pub use postgres::Postgres;
pub use shared::Shared;
