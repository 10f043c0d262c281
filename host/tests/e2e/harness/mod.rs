//! A host of one's own for each test, and what to ask it.

mod command;
mod host;
mod http;
mod log;
pub mod spoilt;

pub use command::Command;
pub use host::{Failed, Host, archipel, components, write_manifest};
pub use http::{Answer, Connection, exchange};
