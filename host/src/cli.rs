//! The command line: one file for each command. A terminal gets tables and progress, a pipe one
//! JSON document; a refusal says what, which one and what to do, and exits 1.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use serde::Serialize;

use self::admin::Admin;

mod admin;
mod apply;
mod check;
mod diff;
mod events;
mod explain;
mod healthcheck;
mod init;
mod inspect;
mod progress;
mod run;
mod signals;
mod status;
mod swap;
mod token;
mod watch;

/// Runs a microservice system of WebAssembly components, gateway included, in one process.
#[derive(Debug, Parser)]
#[command(name = "archipel", version, after_help = "Example:\n  archipel run manifests/shop.toml")]
pub struct Cli {
    /// One JSON document instead of tables, also on a terminal.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts everything a manifest describes: databases, services, gateway, admin listener.
    #[command(
        after_help = "Example:\n  archipel run manifests/shop.toml\n  archipel run manifests/shop.toml --ceiling /etc/archipel/ceiling.toml\n  archipel run manifests/shop.toml --audit\n\nSIGTERM or ctrl-C drains and stops; a second one stops at once.\nWith --watch, for development: a service whose source changes is built by its `build` command and\nswapped in; a build that fails is shown and changes nothing; the manifest is applied when it changes.\nWith --ceiling every service has what the manifest grants and the `[ceiling]` of that file allows, no\nmore; `archipel apply` and --watch cannot widen it.\nWith --audit, for development, nothing is denied but what `net.deny` says; when it stops, the least\npermissions that cover what was used are printed as TOML.\nARCHIPEL_LOG sets what is logged (info; info,gateway=debug)."
    )]
    Run {
        manifest: PathBuf,
        /// The operator's own file: what no service may exceed, whatever a manifest grants.
        #[arg(long, value_name = "FILE")]
        ceiling: Option<PathBuf>,
        /// Rebuilds and swaps what is edited.
        #[arg(long)]
        watch: bool,
        /// For development: lets through what the manifest denies, tells each once, and prints at the end
        /// the least permissions that cover what was used.
        #[arg(long, conflicts_with = "ceiling")]
        audit: bool,
    },

    /// Validates a manifest and its components together: every mistake at once, no side effects.
    #[command(
        after_help = "Example:\n  archipel check manifests/shop.toml\n  archipel check manifests/shop.toml --ceiling /etc/archipel/ceiling.toml"
    )]
    Check {
        manifest: PathBuf,
        /// The operator's ceiling on permissions, as for `run`: what it takes is told.
        #[arg(long, value_name = "FILE")]
        ceiling: Option<PathBuf>,
    },

    /// Says what would become of a request, or whether a service may reach an address; sends nothing.
    #[command(
        after_help = "Example:\n  archipel explain manifests/shop.toml GET /api/users\n  archipel explain manifests/shop.toml --service users --net api.example.com:443\n\nDecided by the same code that serves. Exit 0: it would reach its service, or the address; 1: it would not."
    )]
    Explain(explain::Arguments),

    /// Shows what a component exports, imports and would need.
    #[command(after_help = "Example:\n  archipel inspect components/target/wasm32-wasip2/release/users.wasm")]
    Inspect { file: PathBuf },

    /// Compares two components, or two manifests: what the new one needs or grants more, or less.
    #[command(
        after_help = "Example:\n  archipel diff old.wasm components/target/wasm32-wasip2/release/users.wasm\n  archipel diff manifests/old.toml manifests/shop.toml"
    )]
    Diff { old: PathBuf, new: PathBuf },

    /// Asks a health address and exits 0 or 1; for containers without curl.
    #[command(after_help = "Example:\n  archipel healthcheck http://127.0.0.1:3000/health/ready")]
    Healthcheck {
        #[arg(default_value = "http://127.0.0.1:3000/health/ready")]
        url: String,
        /// Seconds to go on asking until the answer is good.
        #[arg(long, default_value_t = 0)]
        wait: u64,
    },

    /// Replaces a service's component in the running host, without losing a request.
    #[command(
        after_help = "Example:\n  archipel swap users components/target/wasm32-wasip2/release/users.wasm\n\nThe new build is compiled, compared with its grants, started and asked one smoke request before\nit is live. A build that fails any of it is refused, and what ran before goes on.\nOne that needs more than the manifest grants is refused with the lines to add; --accept-permissions\nadds exactly those, as far as the operator's ceiling allows."
    )]
    Swap(swap::Arguments),

    /// Makes a changed manifest the running one, whole or not at all, without losing a request.
    #[command(
        after_help = "Example:\n  archipel apply manifests/shop.toml\n\nServices whose settings and component are the same are not touched. What takes effect with a restart\nonly (listeners, data, the place of a database) is left as it is and named.\nThe manifest is read here; its paths and includes start from the folder of the host's own."
    )]
    Apply {
        manifest: PathBuf,
        #[command(flatten)]
        admin: Admin,
    },

    /// Makes the version before the live one live again, at once.
    #[command(after_help = "Example:\n  archipel rollback users")]
    Rollback {
        service: String,
        #[command(flatten)]
        admin: Admin,
    },

    /// Shows what a service has run: version, time, outcome, and who asked for it.
    #[command(after_help = "Example:\n  archipel versions users")]
    Versions {
        service: String,
        #[command(flatten)]
        admin: Admin,
    },

    /// Shows what runs: services, versions, permissions, traffic.
    #[command(after_help = "Example:\n  archipel status")]
    Status {
        #[command(flatten)]
        admin: Admin,
    },
    /// Shows topics, what is in work and dead letters of events, and replays dead letters.
    #[command(after_help = "Example:\n  archipel events topics\n  archipel events dead notifications")]
    #[command(subcommand)]
    Events(events::Events),

    /// Makes and reads tokens.
    #[command(after_help = "Example:\n  archipel token sign manifests/shop.toml --sub 7 --role admin")]
    #[command(subcommand)]
    Token(token::Token),

    /// Prints the manifest's JSON Schema, for editors.
    #[command(after_help = "Example:\n  archipel schema > archipel.schema.json")]
    Schema,
}

impl Cli {
    /// Runs the command; an error is printed by `main`.
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let terminal = io::stdout().is_terminal();
        let output = Output { json: self.json || !terminal, red: terminal && run::colours() };
        match self.command {
            Command::Run { .. } if init::is_first() => init::run(),
            Command::Run { manifest, ceiling, watch, audit } => {
                run::run(&manifest, &run::Options { ceiling, watch, audit }, output)
            }
            Command::Check { manifest, ceiling } => check::check(&manifest, ceiling.as_deref(), output),
            Command::Explain(arguments) => explain::explain(&arguments, output),
            Command::Inspect { file } => inspect::inspect(&file, output),
            Command::Diff { old, new } => diff::diff(&old, &new, output),
            Command::Healthcheck { url, wait } => healthcheck::ask(&url, std::time::Duration::from_secs(wait)),
            Command::Swap(arguments) => swap::swap(&arguments, output),
            Command::Apply { manifest, admin } => apply::apply(&manifest, &admin, output),
            Command::Rollback { service, admin } => swap::rollback(&service, &admin, output),
            Command::Versions { service, admin } => status::versions(&service, &admin, output),
            Command::Status { admin } => status::status(&admin, output),
            Command::Events(events) => events.execute(output),
            Command::Token(token) => token.execute(output, self.json),
            Command::Schema => output.document(&manifest::Manifest::schema()).map(|()| ExitCode::SUCCESS),
        }
    }
}

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
struct Output {
    json: bool,
    /// Whether an alarm may be red.
    red: bool,
}

/// What alarms: a service that may reach everything, in the words of its permissions and of its warning.
const ALARMS: [&str; 2] = ["net: everything", "reaches everything"];

impl Output {
    /// One JSON document.
    fn document(self, document: &impl Serialize) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer_pretty(&mut stdout, document)?;
        writeln!(stdout)?;
        Ok(())
    }

    /// One JSON line of a stream.
    fn line(self, document: &impl Serialize) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, document)?;
        writeln!(stdout)?;
        Ok(())
    }

    /// `text` with what alarms in red.
    fn alarmed(self, text: String) -> String {
        if !self.red {
            return text;
        }
        ALARMS.iter().fold(text, |text, alarm| text.replace(alarm, &format!("\x1b[31m{alarm}\x1b[0m")))
    }

    /// Text for a person.
    fn text(self, text: &str) -> anyhow::Result<()> {
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// The items of a JSON array; none where it is no array.
fn list(value: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    value.as_array().into_iter().flatten()
}

/// Rows of equal length as aligned columns, the first row underlined by its own width.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alarms_is_red_where_there_are_colours_and_nowhere_else() {
        let text = |red| Output { json: false, red }.alarmed("a  net: everything\n".to_owned());
        assert_eq!(text(true), "a  \x1b[31mnet: everything\x1b[0m\n");
        assert_eq!(text(false), "a  net: everything\n");
    }
}
