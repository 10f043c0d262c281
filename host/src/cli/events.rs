//! `archipel events`: topics and their lag, what is in work, dead letters and their replay.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use http::Method;
use serde_json::Value;

use super::{Output, admin::Admin, table};

#[derive(Debug, Subcommand)]
pub(super) enum Events {
    /// Topics, what is kept of each, and how far each service is behind.
    #[command(after_help = "Example:\n  archipel events topics")]
    Topics {
        #[command(flatten)]
        admin: Admin,
    },

    /// What a service is working on or will try again.
    #[command(after_help = "Example:\n  archipel events pending notifications")]
    Pending {
        service: String,
        #[command(flatten)]
        admin: Admin,
    },

    /// Dead letters: how many each service has, or a page of one service's, oldest first.
    #[command(
        after_help = "Example:\n  archipel events dead\n  archipel events dead notifications\n\nThe last line says how the next page is asked for."
    )]
    Dead {
        service: Option<String>,
        /// Go on after this letter.
        #[arg(long, value_name = "LETTER", requires = "service")]
        after: Option<String>,
        #[command(flatten)]
        admin: Admin,
    },

    /// Hands dead letters to their service again: same event, attempts counted anew.
    #[command(
        after_help = "Example:\n  archipel events replay notifications 0199a8c0-7e1d-7f3a-b1c2-0123456789ab\n  archipel events replay notifications --all"
    )]
    Replay {
        service: String,
        /// The event's id.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        event: Option<String>,
        /// All letters that are there now.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        admin: Admin,
    },
}

impl Events {
    pub(super) fn execute(&self, output: Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Topics { admin } => print(&admin.get("/v1/events/topics")?.data()?, output, topics),
            Self::Pending { service, admin } => {
                let path = format!("/v1/events/pending?service={}", plain(service)?);
                print(&admin.get(&path)?.data()?, output, pending)
            }
            Self::Dead { service: None, admin, .. } => {
                print(&admin.get("/v1/events/dead")?.data()?, output, dead_counts)
            }
            Self::Dead { service: Some(service), after, admin } => {
                let after = after.as_deref().map(plain).transpose()?;
                let after = after.map(|letter| format!("&after={letter}")).unwrap_or_default();
                let path = format!("/v1/events/dead?service={}{after}", plain(service)?);
                print(&admin.get(&path)?.data()?, output, dead)
            }
            Self::Replay { service, event, all, admin } => {
                let which = match event {
                    Some(event) => format!("id={}", plain(event)?),
                    None => format!("all={all}"),
                };
                let path = format!("/v1/events/replay?service={}&{which}", plain(service)?);
                print(&admin.call(Method::POST, &path, None, "replaying")?.data()?, output, |replayed| {
                    format!("{} replayed to {}\n", replayed["replayed"], word(&replayed["service"]))
                })
            }
        }
    }
}

/// What needs no escaping in an address; no service and no event has another name.
fn plain(text: &str) -> anyhow::Result<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => Ok(text),
        false => bail!("`{text}` is no name of a service and no id"),
    }
}

fn print(document: &Value, output: Output, text: impl FnOnce(&Value) -> String) -> anyhow::Result<ExitCode> {
    match output.json {
        true => output.document(document),
        false => output.text(&text(document)),
    }
    .context("cannot print")?;
    Ok(ExitCode::SUCCESS)
}

fn topics(report: &Value) -> String {
    let mut rows = vec![header(["TOPIC", "EVENTS", "BYTES", "SERVICE", "LAG", "PENDING"])];
    for topic in list(&report["topics"]) {
        let cells = |topic: &Value| vec![word(&topic["topic"]), number(&topic["events"]), number(&topic["bytes"])];
        let mut first = cells(topic);
        for service in list(&topic["services"]) {
            first.extend([word(&service["service"]), number(&service["lag"]), number(&service["pending"])]);
            rows.push(std::mem::replace(&mut first, vec![String::new(); 3]));
        }
        if list(&topic["services"]).next().is_none() {
            rows.push(first);
        }
    }
    format!("{}\n{} delayed, {} expired\n", table(&rows), report["delayed"], report["expired"])
}

fn pending(report: &Value) -> String {
    let mut rows = vec![header(["EVENT", "TOPIC", "ATTEMPT", "IDLE", "NEXT ATTEMPT"])];
    rows.extend(list(&report["events"]).map(|event| {
        let idle = format!("{} ms", event["idleMs"]);
        vec![word(&event["id"]), word(&event["topic"]), number(&event["attempt"]), idle, word(&event["retry"])]
    }));
    table(&rows)
}

fn dead_counts(report: &Value) -> String {
    let mut rows = vec![header(["SERVICE", "DEAD LETTERS"])];
    rows.extend(list(&report["services"]).map(|of| vec![word(&of["service"]), number(&of["letters"])]));
    table(&rows)
}

fn dead(report: &Value) -> String {
    let mut rows = vec![header(["EVENT", "TOPIC", "DIED", "ATTEMPTS", "REASON"])];
    rows.extend(list(&report["letters"]).map(|letter| {
        let reason = letter["reason"].as_str().and_then(|reason| reason.lines().next()).unwrap_or_default();
        let reason = shown(reason);
        vec![word(&letter["id"]), word(&letter["topic"]), word(&letter["died"]), number(&letter["attempts"]), reason]
    }));
    let next = report["next"].as_str().map(|next| format!("\n{} in all; --after {next} shows more\n", report["count"]));
    table(&rows) + &next.unwrap_or_default()
}

fn header<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> String {
    shown(value.as_str().unwrap_or("-"))
}

/// Without what would move the cursor of a terminal: a service wrote it.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

fn number(value: &Value) -> String {
    if value.is_null() { "-".to_owned() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_shown_by_its_first_line_without_what_terminals_obey() {
        let report = serde_json::json!({ "letters": [{ "id": "1", "reason": "\u{1b}[2Jno\u{7} mailbox\nmore" }] });
        let text = dead(&report);
        assert!(text.contains("[2Jno mailbox") && !text.contains("more"), "{text}");
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
    }
}
