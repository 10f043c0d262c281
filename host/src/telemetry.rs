//! Logs: one event a line. A pipe gets JSON, a terminal something to read.
//!
//! Decides the shape of a line and where it goes; what is worth a line is decided where it
//! happens. `writer` keeps lines from costing requests: a reader that stops reading costs lines
//! (counted). Libraries are heard from warnings up: what they
//! tell below that holds heads of requests and parameters of queries.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter, subscriber::set_global_default};
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt};

pub mod counts;
pub mod exposition;
mod json;
pub mod metrics;
mod process;
mod writer;

pub use process::{Process, ignores_hangup, thread_cpu};
pub use writer::Lost;

use writer::{Flush, Lines};

/// Writes what is left when dropped.
pub struct Telemetry {
    /// How many lines nobody will read.
    pub lost: Lost,
    _writer: Flush,
}

/// The same on standard error, always to be read by people: beside a command whose output is its own.
///
/// # Errors
/// As for [`start`].
pub fn start_beside(filter: &str, colours: bool) -> Result<Telemetry, anyhow::Error> {
    let colours = colours && io::stderr().is_terminal();
    start_on(io::stderr(), filter, Shape::Text { colours })
}

/// Starts logging to standard output. `filter` is in the syntax of `tracing-subscriber`
/// (`info`, `info,gateway=debug`); it speaks of our own lines. `colours` concerns a terminal only.
///
/// # Errors
/// When `filter` cannot be understood, or logging has been started already.
pub fn start(filter: &str, colours: bool) -> Result<Telemetry, anyhow::Error> {
    let stdout = io::stdout();
    let shape = if stdout.is_terminal() { Shape::Text { colours } } else { Shape::Json };
    start_on(stdout, filter, shape)
}

/// How a line looks.
enum Shape {
    Text { colours: bool },
    Json,
}

fn start_on(output: impl io::Write + Send + 'static, filter: &str, shape: Shape) -> Result<Telemetry, anyhow::Error> {
    let refused = |reason: &dyn std::fmt::Display| {
        anyhow::anyhow!("ARCHIPEL_LOG is `{filter}`: {reason}; write `info` or `info,gateway=debug`")
    };
    if let Some(word) = no_level(filter) {
        return Err(refused(&format_args!("`{word}` is no level: there are error, warn, info, debug, trace and off")));
    }
    let filter = EnvFilter::try_new(filter).map_err(|error| refused(&error))?;
    let (writer, flush) = Lines::to(output)?;
    let lost = writer.lost();
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(tells_no_secrets));
    match shape {
        Shape::Text { colours } => {
            listen(registry.with(fmt::layer().compact().with_target(false).with_ansi(colours).with_writer(writer)))?;
        }
        Shape::Json => {
            listen(registry.with(fmt::layer().event_format(json::Lines).with_ansi(false).with_writer(writer)))?;
        }
    }
    Ok(Telemetry { lost, _writer: flush })
}

/// A word that stands alone and is no level: the filter would take it for the name of a part that speaks.
fn no_level(filter: &str) -> Option<&str> {
    let words = filter.split(',').map(str::trim).filter(|part| !part.is_empty() && !part.contains(['=', '[']));
    words.into_iter().find(|word| word.parse::<LevelFilter>().is_err())
}

/// Only what speaks `tracing` is heard: of the libraries that use `log`, the PostgreSQL client
/// tells parameters and passwords, and the compiler two million lines for a component.
fn listen(subscriber: impl Subscriber + Send + Sync) -> Result<(), anyhow::Error> {
    Ok(set_global_default(subscriber)?)
}

/// The targets of our own lines: the crates that say something, and three that are no module's name.
const OURS: [&str; 7] = ["archipel", "backend", "gateway", "manifest", "access", "guest", "postgres"];

fn tells_no_secrets(line: &Metadata<'_>) -> bool {
    let krate = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::WARN || OURS.contains(&krate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_heard_from_warnings_up() {
        fn told(tell: fn()) -> bool {
            let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
            let writer = lines.clone();
            let layer = fmt::layer().with_writer(move || Lines(writer.clone()));
            let subscriber = tracing_subscriber::registry().with(filter_fn(tells_no_secrets)).with(layer);
            tracing::subscriber::with_default(subscriber, tell);
            !lines.lock().unwrap().is_empty()
        }
        assert!(told(|| tracing::trace!("ours")));
        assert!(told(|| tracing::debug!(target: "gateway::error", "ours")));
        assert!(told(|| tracing::info!(target: "backend::events::hosts", "ours")));
        assert!(told(|| tracing::info!(target: "access", "ours")));
        assert!(told(|| tracing::info!(target: "backend::secrets", "ours")));
        assert!(told(|| tracing::warn!(target: "h2::server", "a warning")));
        assert!(!told(|| tracing::info!(target: "h2::server", "theirs")));
        assert!(!told(|| tracing::trace!(target: "gatewayish", "theirs")));
    }

    #[test]
    fn a_word_alone_must_be_a_level() {
        assert_eq!((no_level("info"), no_level("WARN,gateway=debug"), no_level("")), (None, None, None));
        assert_eq!((no_level("verbose"), no_level("info, loud")), (Some("verbose"), Some("loud")));
    }

    struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
