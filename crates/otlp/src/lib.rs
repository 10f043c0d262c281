//! Sends what [`span`] keeps to a collector, by OpenTelemetry's protocol.
//!
//! One task, one queue and one connection for the gateway and all components: each is a resource of its own
//! to whoever looks at the traces. Nobody who works for a request waits for any of it.

mod attribute;
mod client;
mod delivery;
mod error;
mod grpc;
mod sender;
mod settings;
mod signal;
mod sources;
mod traces;
mod wire;

pub use error::InvalidSettings;
pub use sender::Sender;
pub use settings::{Protocol, Settings};
