//! A host of one's own for each test, and what to ask it.

pub mod h2;
mod host;
mod http;
mod log;

pub use host::{Host, archipel, probe, wait, write_manifest};
pub use http::{Answer, Connection, Held, exchange};
