//! A host of one's own for each test, and what to ask it.

mod host;
mod http;
mod log;

pub use host::Host;
pub use http::{Answer, Connection, exchange};
