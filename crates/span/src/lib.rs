//! What one request did on this host, as spans of OpenTelemetry's model.
//!
//! A request has a [`Recording`]; whoever works for it adds a [`Span`] when that work is done. When the last
//! who holds the recording lets go, it is decided whether the trace is worth keeping: it was sampled, it
//! failed, or it was slow. Only then does anything cost more than a copy into memory.
//!
//! No I/O and no encoding here: `crates/otlp` sends, the admin API shows.

mod active;
mod record;
mod recorder;
mod recording;
mod sampling;
mod source;
mod told;

pub use active::Active;
pub use record::{Event, Kind, Link, More, Span, Value};
pub use recorder::{Counts, Follower, Kept, QUEUE_MAX_SPANS, Recorder, Settings};
pub use recording::{GUEST_SPANS_MAX, Recording, SPANS_MAX, Spans, Trace};
pub use sampling::Sampling;
pub use source::Source;
pub use told::{Head, Said, Told};

/// A span's id; never zero.
pub fn new_id() -> u64 {
    fastrand::u64(1..)
}
