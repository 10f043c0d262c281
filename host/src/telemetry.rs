//! Logs: one event a line. A pipe gets JSON, a terminal something to read.
//!
//! Decides the shape of a line and where it goes; what is worth a line is decided where it
//! happens. Lines are written by a thread of their own with a bounded queue: a reader that stops
//! reading costs lines (counted), never requests.

use std::io::{self, IsTerminal};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

mod json;

/// Lines that may wait to be written before further ones are dropped.
const LINES_MAX: usize = 16_384;

/// Writes what is left when dropped.
pub struct Telemetry {
    _writer: WorkerGuard,
}

/// Starts logging to standard output. `filter` is in the syntax of `tracing-subscriber`
/// (`info`, `info,gateway=debug`); `colours` concerns a terminal only.
///
/// # Errors
/// When `filter` cannot be understood.
pub fn start(filter: &str, colours: bool) -> Result<Telemetry, anyhow::Error> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        anyhow::anyhow!("ARCHIPEL_LOG is `{filter}`: {error}; write `info` or `info,gateway=debug`")
    })?;
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    let buffered = io::BufWriter::with_capacity(64 << 10, stdout);
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(LINES_MAX).lossy(true).finish(buffered);
    let registry = tracing_subscriber::registry().with(filter);
    if terminal {
        registry.with(fmt::layer().compact().with_target(false).with_ansi(colours).with_writer(writer)).init();
    } else {
        registry.with(fmt::layer().event_format(json::Lines).with_ansi(false).with_writer(writer)).init();
    }
    Ok(Telemetry { _writer: guard })
}
