//! Logs: one event a line. A pipe gets JSON, a terminal something to read.
//!
//! Decides the shape of a line and where it goes; what is worth a line is decided where it
//! happens. `writer` keeps lines from costing requests: a reader that stops reading costs lines
//! (counted). Libraries are heard from warnings up: what they
//! tell below that holds heads of requests and parameters of queries.

use std::{
    io::{self, IsTerminal},
    sync::Arc,
};

use otlp::Records;
use span::Source;
use tracing::{Level, Metadata, Subscriber, subscriber::set_global_default};
use tracing_subscriber::{
    Layer,
    filter::{dynamic_filter_fn, filter_fn},
    fmt,
    layer::SubscriberExt,
    reload,
};

pub mod counts;
mod export;
pub mod exposition;
mod filter;
mod json;
mod live;
pub mod metrics;
mod process;
mod records;
mod speaker;
mod view;
mod writer;

pub use export::{Export, own};
pub use live::Logs;
pub use process::{Process, has_terminal, ignores_hangup, thread_cpu};
pub use speaker::speaking;
pub use writer::Lost;

use live::Followers;
use writer::{Flush, Lines};

/// Writes what is left when dropped.
pub struct Telemetry {
    /// How many lines nobody will read.
    pub lost: Lost,
    /// The log as it can be followed and changed.
    pub logs: Arc<Logs>,
    /// The same lines for a collector, once one wants them.
    pub records: Arc<Records>,
    _writer: Flush,
}

/// The same on standard error, always to be read by people: beside a command whose output is its own.
///
/// # Errors
/// As for [`start`].
pub fn start_beside(own: Arc<Source>, filter: &str, colours: bool) -> Result<Telemetry, anyhow::Error> {
    let colours = colours && io::stderr().is_terminal();
    start_on(io::stderr(), own, filter, Shape::Text { colours })
}

/// Starts logging to standard output. `filter` is in the syntax of `tracing-subscriber`
/// (`info`, `info,gateway=debug`); it speaks of our own lines. `colours` concerns a terminal only. To a collector
/// those lines are `own` that name no service.
///
/// # Errors
/// When `filter` cannot be understood, or logging has been started already.
pub fn start(own: Arc<Source>, filter: &str, colours: bool) -> Result<Telemetry, anyhow::Error> {
    let stdout = io::stdout();
    let shape = if stdout.is_terminal() { Shape::Text { colours } } else { Shape::Json };
    start_on(stdout, own, filter, shape)
}

/// Starts logging to standard output for somebody who edits, also in a pipe; `filter` if they have one of their own.
///
/// # Errors
/// As for [`start`].
pub fn start_view(own: Arc<Source>, filter: Option<&str>, colours: bool) -> Result<Telemetry, anyhow::Error> {
    let stdout = io::stdout();
    let colours = colours && stdout.is_terminal();
    start_on(stdout, own, filter.unwrap_or(view::FILTER), Shape::View { colours })
}

/// How a line looks.
enum Shape {
    Text { colours: bool },
    View { colours: bool },
    Json,
}

fn start_on(
    output: impl io::Write + Send + 'static,
    own: Arc<Source>,
    text: &str,
    shape: Shape,
) -> Result<Telemetry, anyhow::Error> {
    let filter = filter::filter(text).map_err(|reason| anyhow::anyhow!("ARCHIPEL_LOG is {reason}"))?;
    let (filter, level) = reload::Layer::new(filter);
    let followers = Followers::default();
    let logs = Logs::new(followers.clone(), level, text);
    let (writer, flush) = Lines::to(output)?;
    let lost = writer.lost();
    let records = Records::new(own);
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(tells_no_secrets));
    let registry = registry.with(records::Listening(records.clone()));
    match shape {
        Shape::Text { colours } => {
            // Made a second time while somebody follows: a filter that must be asked for each line costs every line.
            let looked = followers.clone();
            let following = json::Lines(move |_: &Metadata<'_>, line: &[u8]| followers.tell(line));
            let following = following.with_filter(dynamic_filter_fn(move |_, _| looked.are_any()));
            let shown = fmt::layer().compact().with_target(false).with_ansi(colours).with_writer(writer);
            listen(registry.with(following).with(shown))?;
        }
        Shape::View { colours } => {
            listen(
                registry
                    .with(fmt::layer().event_format(view::Lines { colours }).with_ansi(colours).with_writer(writer)),
            )?;
        }
        Shape::Json => {
            // It is followed as it is written.
            listen(registry.with(json::Lines(move |of: &Metadata<'_>, line: &[u8]| {
                followers.tell(line);
                writer.tell(of, line);
            })))?;
        }
    }
    Ok(Telemetry { lost, logs, records, _writer: flush })
}

/// Only what speaks `tracing` is heard: of the libraries that use `log`, the PostgreSQL client
/// tells parameters and passwords, and the compiler two million lines for a component.
fn listen(subscriber: impl Subscriber + Send + Sync) -> Result<(), anyhow::Error> {
    Ok(set_global_default(subscriber)?)
}

/// The targets of our own lines: the crates that say something, and three that are no module's name.
const OURS: [&str; 8] = ["archipel", "backend", "gateway", "manifest", "otlp", "access", "guest", "postgres"];

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
