//! A host of one's own for each test, and what to ask it.

mod external;
pub mod h2;
mod host;
mod http;
mod log;
mod shared;
pub mod shop;

pub use external::Postgres;
pub use host::{Host, archipel, probe, wait, write_manifest};
pub use http::{Answer, Connection, Held, exchange};
pub use shared::Shared;
