//! Sends what [`span`] keeps to a collector, by OpenTelemetry's protocol.
//!
//! One task, one queue and one connection for the gateway and all components: each is a resource of its own
//! to whoever looks at the traces. Nobody who works for a request waits for any of it.

mod convert;
mod exporter;
mod sender;
mod settings;
mod transport;

pub use exporter::InvalidSettings;
pub use sender::Sender;
pub use settings::{Protocol, Settings};
