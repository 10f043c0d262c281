//! A host of one's own for each test, and what to ask it.

pub mod admin;
mod bouncer;
mod cluster;
mod collector;
mod command;
mod consul;
mod end;
mod external;
mod free;
pub mod h2;
mod host;
mod http;
mod load;
mod log;
mod postgres;
mod proxy;
mod redis;
pub mod scripted;
mod shared;
pub mod shop;
pub mod spoilt;
mod streams;
mod until;
pub mod upstream;

pub use bouncer::Bouncer;
pub use collector::{Collector, LogLine, Span, tree};
pub use command::{Command, Done};
pub use consul::Consul;
pub use end::End;
pub use external::Postgres;
pub use free::free;
pub use host::{
    Failed, Host, archipel, by_quick_door, by_quick_engine, children, components, foreign, in_typescript, is_running,
    place, probe, wait, write_manifest,
};
pub use http::{Answer, Connection, Held, exchange};
pub use load::under_load;
pub use postgres::{Server, Session, postmaster};
pub use proxy::Proxy;
pub use redis::{Redis, redis_pid};
pub use shared::Shared;
pub use streams::Streams;
pub use until::until;
pub use upstream::Upstream;
