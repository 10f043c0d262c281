//! How a command prints: tables for a terminal, one JSON document for a pipe. Nothing else writes to standard
//! output but the log.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use document::problem::Problems;
use serde::Serialize;

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
    /// Whether an alarm may be red.
    pub(super) red: bool,
    /// Of the terminal, in characters.
    pub(super) width: Option<usize>,
}

/// What alarms: a service that may reach everything, in the words of its permissions and of its warning.
const ALARMS: [&str; 2] = ["net: everything", "reaches everything"];

impl Output {
    /// One JSON document.
    pub(super) fn document(self, document: &impl Serialize) -> anyhow::Result<()> {
        self.text(&(serde_json::to_string_pretty(document)? + "\n"))
    }

    /// One JSON line of a stream.
    pub(super) fn line(self, document: &impl Serialize) -> anyhow::Result<()> {
        self.text(&(serde_json::to_string(document)? + "\n"))
    }

    /// `text` with what alarms in red.
    pub(super) fn alarmed(self, text: String) -> String {
        if !self.red {
            return text;
        }
        ALARMS.iter().fold(text, |text, alarm| text.replace(alarm, &format!("\x1b[31m{alarm}\x1b[0m")))
    }

    /// Text for a person. A reader that has seen enough (`| head`) is no failure.
    pub(super) fn text(self, text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(anyhow::Error::new(error).context("cannot write to standard output"))
            }
            _ => Ok(()),
        }
    }
}

/// The items of a JSON array; none where it is no array.
pub(super) fn list(value: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    value.as_array().into_iter().flatten()
}

/// Prints the mistakes: as JSON to a pipe, as text to standard error on a terminal.
pub(super) fn refused(problems: &Problems, output: Output) -> anyhow::Result<ExitCode> {
    if output.json {
        output.document(problems)?;
    }
    eprint(&format!("{problems}\n"));
    Ok(ExitCode::FAILURE)
}

#[expect(clippy::print_stderr, reason = "a command's refusal is for its user")]
fn eprint(text: &str) {
    eprint!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alarms_is_red_where_there_are_colours_and_nowhere_else() {
        let text = |red| Output { json: false, red, width: None }.alarmed("a  net: everything\n".to_owned());
        assert_eq!(text(true), "a  \x1b[31mnet: everything\x1b[0m\n");
        assert_eq!(text(false), "a  net: everything\n");
    }
}
