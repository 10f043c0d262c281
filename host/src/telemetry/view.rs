//! The form of a log line for somebody who edits: who was asked and what came of it, what services print, and what was
//! denied, which says the line that would allow it.

use std::fmt;

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// What is worth a line then.
pub(super) const FILTER: &str = "warn,access=info,guest=info";

pub(super) struct Lines {
    pub(super) colours: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let (colour, line) = said.line(level, target);
        match colour.filter(|_| self.colours) {
            Some(colour) => writeln!(writer, "\x1b[{colour}m{line}\x1b[0m"),
            None => writeln!(writer, "{line}"),
        }
    }
}

const RED: u8 = 31;
const YELLOW: u8 = 33;
const GREY: u8 = 90;

/// The fields that a line is made of.
#[derive(Default)]
struct Said {
    message: String,
    method: String,
    path: String,
    service: String,
    error: String,
    status: u64,
    milliseconds: f64,
    /// What a client is told to quote.
    trace: String,
    /// The line that would allow what was denied.
    allow: String,
}

impl Said {
    /// In which colour, and what.
    fn line(&self, level: Level, target: &str) -> (Option<u8>, String) {
        let Self { message, method, path, service, error, status, milliseconds, .. } = self;
        match target {
            "access" => {
                let colour = match status {
                    500.. => Some(RED),
                    400.. => Some(YELLOW),
                    _ => Some(GREY),
                };
                let by = if service.is_empty() { "nobody" } else { service };
                let traced = if *status < 500 || self.trace.is_empty() {
                    String::new()
                } else {
                    format!(", trace {}", self.trace)
                };
                (colour, format!("{method} {path} -> {status} by {by} in {milliseconds:.1} ms{traced}"))
            }
            "guest" => ((level == Level::WARN).then_some(YELLOW), format!("{service} | {message}")),
            _ if !self.allow.is_empty() => (Some(YELLOW), format!("denied: {message}{}", self.command())),
            _ if error.is_empty() => (Some(RED).filter(|_| level == Level::ERROR), format!("archipel: {message}")),
            _ => (Some(RED).filter(|_| level == Level::ERROR), format!("archipel: {message}: {error}")),
        }
    }
}

impl Said {
    /// The command that writes that line; nothing where it is not the manifest's to allow it.
    fn command(&self) -> String {
        let Self { message, service, allow, .. } = self;
        let Some((_, file)) = message.rsplit_once(&format!("`services.{service}.permissions` in ")) else {
            return String::new();
        };
        let named = if file == "archipel.toml" { String::new() } else { format!(" --manifest {}", quoted(file)) };
        format!("\n  or: archipel add permission {service} {}{named}", quoted(allow))
    }
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Visit for Said {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "status" {
            self.status = value;
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record_u64(field, u64::try_from(value).unwrap_or_default());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "durationMs" {
            self.milliseconds = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let into = match field.name() {
            "message" => &mut self.message,
            "method" => &mut self.method,
            "path" => &mut self.path,
            "service" => &mut self.service,
            "error" => &mut self.error,
            "traceId" => &mut self.trace,
            "allow" => &mut self.allow,
            _ => return,
        };
        // What a client or a guest has sent may hold anything: a line stays one line.
        *into = format!("{value:?}").replace(|c: char| c.is_control(), " ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_a_print_and_a_denial_are_a_line_each() {
        let said = Said {
            message: "text".to_owned(),
            method: "GET".to_owned(),
            path: "/notes".to_owned(),
            service: "notes".to_owned(),
            status: 200,
            milliseconds: 1.25,
            ..Said::default()
        };
        let line = |target: &str| said.line(Level::INFO, target).1;
        assert_eq!(line("access"), "GET /notes -> 200 by notes in 1.2 ms");
        let failed = Said { status: 500, trace: "0af7".to_owned(), path: "/".to_owned(), ..Said::default() };
        assert_eq!(failed.line(Level::INFO, "access").1, " / -> 500 by nobody in 0.0 ms, trace 0af7");
        assert_eq!(line("guest"), "notes | text");
        assert_eq!(line("archipel::system"), "archipel: text");
        let denied = |message: &str| {
            let (service, allow) = ("notes".to_owned(), "net = ['a']".to_owned());
            let said = Said { message: message.to_owned(), service, allow, ..Said::default() };
            said.line(Level::WARN, "archipel::capability")
        };
        assert_eq!(denied("`notes` may not"), (Some(YELLOW), "denied: `notes` may not".to_owned()));
        let told = |file: &str| denied(&format!("add it to `services.notes.permissions` in {file}")).1;
        let command = r"  or: archipel add permission notes 'net = ['\''a'\'']'";
        assert_eq!(told("archipel.toml").lines().nth(1), Some(command));
        assert_eq!(told("a/b.toml").lines().nth(1), Some(&*format!("{command} --manifest 'a/b.toml'")));
    }
}
