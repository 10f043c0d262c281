//! Sends what [`span`] keeps to a collector, by OpenTelemetry's protocol; log lines and metrics too, by choice.
//!
//! Each has one task and a queue; all go by one connection, for the gateway and all components: each is a resource of its own
//! to whoever looks on. Nobody who works for a request waits for any of it.

mod attribute;
mod authorities;
mod client;
mod collector;
mod delivery;
mod error;
mod grpc;
mod logs;
mod metrics;
mod records;
mod sender;
mod settings;
mod signal;
mod sources;
mod traces;
mod waiting;
mod wire;

pub use collector::Collector;
pub use error::InvalidSettings;
pub use logs::{Line, Severity};
pub use metrics::{Distribution, Labels, Metering, Metric, Number, Points, Snapshot};
pub use records::Records;
pub use sender::Sender;
pub use settings::{Protocol, Settings};
