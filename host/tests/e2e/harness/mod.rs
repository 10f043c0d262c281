//! A host of one's own for each test, and what to ask it.

mod host;
mod http;
mod log;
mod postgres;

pub use host::{Failed, Host, place};
pub use http::{Answer, Connection, exchange};
pub use postgres::{Server, Session, postmaster};
