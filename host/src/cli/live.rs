//! `archipel trace`, `archipel logs` and `archipel log`: what happens in a running host.

use std::{collections::BTreeMap, fmt::Write, process::ExitCode};

use clap::Args;
use document::quantity::Time;
use http::Method;
use serde_json::{Value, json};

use super::{Output, admin, admin::Admin, list};

#[derive(Debug, Args)]
pub(super) struct TraceArguments {
    /// Only requests to this route, as the manifest has it: `/api/users/{id}`.
    #[arg(long)]
    route: Option<String>,
    /// Only requests that took at least so long: `100ms`.
    #[arg(long, value_name = "TIME")]
    slow: Option<Time>,
    /// Only requests in which something failed.
    #[arg(long)]
    errors: bool,
    /// Ends after so many.
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Args)]
pub(super) struct LogsArguments {
    /// Goes on with every line that is told from now on; nothing earlier is kept.
    #[arg(long, required = true)]
    follow: bool,
    /// Ends after so many lines.
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// `debug`, or by part: `info,gateway=debug`. Without it, what is told now is shown.
    level: Option<String>,
    #[command(flatten)]
    admin: Admin,
}

/// Enough has been seen.
#[derive(Debug, thiserror::Error)]
#[error("enough")]
struct Enough;

pub(super) fn trace(arguments: &TraceArguments, output: Output) -> anyhow::Result<ExitCode> {
    let mut path = format!("/v1/traces?errors={}", arguments.errors);
    if let Some(route) = &arguments.route {
        write!(path, "&route={}", encoded(route))?;
    }
    if let Some(slow) = arguments.slow {
        write!(path, "&slowMs={}", slow.get().as_millis())?;
    }
    let shown = |line: &str| {
        if output.json {
            return output.text(&format!("{line}\n"));
        }
        let trace: Value = serde_json::from_str(line)?;
        output.text(&drawn(&trace))
    };
    followed(&arguments.admin, &path, arguments.count, shown)
}

pub(super) fn logs(arguments: &LogsArguments, output: Output) -> anyhow::Result<ExitCode> {
    followed(&arguments.admin, "/v1/logs", arguments.count, |line| output.text(&format!("{line}\n")))
}

pub(super) fn log(arguments: &LogArguments, output: Output) -> anyhow::Result<ExitCode> {
    let answer = match &arguments.level {
        None => arguments.admin.get("/v1/log")?,
        Some(level) => arguments.admin.call(Method::PUT, "/v1/log", Some(admin::json(&json!({"level": level}))), "")?,
    };
    let data = answer.data()?;
    match output.json {
        true => output.document(&data)?,
        false => output.text(&format!("the log tells {}\n", data["level"].as_str().unwrap_or_default()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn followed(
    admin: &Admin,
    path: &str,
    count: Option<u64>,
    mut each: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let mut left = count.unwrap_or(u64::MAX);
    let ended = admin.follow(path, |line| {
        each(line)?;
        left -= 1;
        if left == 0 { Err(Enough.into()) } else { Ok(()) }
    });
    match ended {
        Err(error) if error.is::<Enough>() => Ok(ExitCode::SUCCESS),
        ended => ended.map(|()| ExitCode::SUCCESS),
    }
}

/// A trace for a person: each span below the one it is within.
fn drawn(trace: &Value) -> String {
    let mut text = format!("{}\n", trace["traceId"].as_str().unwrap_or_default());
    let mut within: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let ids: Vec<&str> = list(&trace["spans"]).filter_map(|span| span["spanId"].as_str()).collect();
    for span in list(&trace["spans"]) {
        let parent = span["parentId"].as_str().filter(|parent| ids.contains(parent)).unwrap_or_default();
        within.entry(parent).or_default().push(span);
    }
    draw(&mut text, &within, "", 1);
    text
}

/// Deeper than any chain of calls goes.
const DEPTH_MAX: usize = 64;

fn draw(text: &mut String, within: &BTreeMap<&str, Vec<&Value>>, parent: &str, depth: usize) {
    let mut spans = within.get(parent).cloned().unwrap_or_default();
    spans.sort_by(|a, b| a["atMs"].as_f64().unwrap_or(0.0).total_cmp(&b["atMs"].as_f64().unwrap_or(0.0)));
    for span in spans {
        let word = |key: &str| span[key].as_str().unwrap_or_default();
        let (took, at) = (span["durationMs"].as_f64().unwrap_or(0.0), span["atMs"].as_f64().unwrap_or(0.0));
        let name = format!("{}{} {}", "  ".repeat(depth), word("service"), word("name"));
        let error = span["error"].as_str().map(|error| format!("  failed: {error}")).unwrap_or_default();
        let _ = writeln!(text, "{name:<60} {took:>9.2} ms  at {at:.2}{error}");
        if depth < DEPTH_MAX {
            draw(text, within, word("spanId"), depth + 1);
        }
    }
}

/// Percent-encoded, for a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~*".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_drawn_below_the_ones_they_are_within_in_the_order_in_which_they_began() {
        let span = |id: &str, parent: Option<&str>, name: &str, at: f64| json!({"spanId": id, "parentId": parent, "service": "s", "name": name, "atMs": at, "durationMs": 1.5});
        let spans = [
            span("3", Some("1"), "second", 2.0),
            span("2", Some("1"), "first", 1.0),
            span("1", Some("f"), "GET /", 0.0),
        ];
        let text = drawn(&json!({"traceId": "7", "spans": spans}));
        let names: Vec<_> =
            text.lines().map(|line| line.split(" ms").next().unwrap().trim_end_matches("1.50").trim_end()).collect();
        assert_eq!(names, ["7", "  s GET /", "    s first", "    s second"]);
        assert_eq!(encoded("/api/users/{id}"), "/api/users/%7Bid%7D");
    }
}
