//! `archipel explain`: what would become of a request, and what a service may reach.

use std::{
    net::{IpAddr, ToSocketAddrs},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use http::{Method, Uri};
use serde::Serialize;

use super::{
    Output,
    output::refused,
    run::{environment, load},
    table,
};
use crate::system::{self, Explanation};
use backend::identity::Identities;
use manifest::{Manifest, ServiceSettings};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    manifest: PathBuf,
    /// The request's method.
    #[arg(required_unless_present_any = ["net", "socket"], requires = "path")]
    method: Option<String>,
    /// Its path and query, or a whole URL for a gateway with several hosts.
    path: Option<String>,
    /// The operator's ceiling on permissions, as for `run`.
    #[arg(long, value_name = "FILE")]
    ceiling: Option<PathBuf>,
    /// A bearer token that it carries.
    #[arg(long, conflicts_with_all = ["net", "socket"])]
    token: Option<String>,
    /// The service that dials.
    #[arg(long, conflicts_with = "method")]
    service: Option<String>,
    /// What it asks over HTTP: `api.example.com:443`, `https://api.example.com`. May be repeated.
    #[arg(long, requires = "service", value_name = "HOST:PORT")]
    net: Vec<String>,
    /// Where it opens a TCP or UDP socket to: `db.example.com:5432`. May be repeated.
    #[arg(long, requires = "service", value_name = "HOST:PORT")]
    socket: Vec<String>,
}

pub(super) fn explain(arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let manifest = match load(&arguments.manifest, arguments.ceiling.as_deref(), &environment()) {
        Ok((loaded, _)) => loaded.manifest,
        Err(problems) => return refused(&problems, output),
    };
    match (&arguments.service, &arguments.method, &arguments.path) {
        (Some(service), None, _) if !arguments.net.is_empty() || !arguments.socket.is_empty() => {
            outgoing(&manifest, service, arguments, output)
        }
        (None, Some(method), Some(path)) => request(&manifest, method, path, arguments.token.as_deref(), output),
        _ => bail!("name a method and a path, or `--service` and `--net` or `--socket`"),
    }
}

fn request(
    manifest: &Manifest,
    method: &str,
    path: &str,
    token: Option<&str>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let method: Method = method.parse().with_context(|| format!("`{method}` is no method; write it like `GET`"))?;
    let uri: Uri = path.parse().with_context(|| format!("`{path}` is no path; write it like `/api/users`"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let explanation = runtime.block_on(async {
        let identities = match token {
            Some(_) => Some(Identities::open(&manifest.issuers, &manifest.host.data)?),
            None => None,
        };
        anyhow::Ok(system::explain(manifest, identities.as_ref(), &method, &uri, token).await)
    })?;
    match output.json {
        true => output.document(&explanation)?,
        false => output.text(&text(&explanation))?,
    }
    Ok(if explanation.status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(told: &Explanation) -> String {
    let mut rows =
        vec![row("request", format!("{} {}", told.method, told.path.as_deref().unwrap_or("(no valid path)")))];
    if let Some(winner) = &told.route {
        let key = winner.key.as_ref().map(|key| format!("  ({key})")).unwrap_or_default();
        rows.push(row("route", format!("{}{key}", winner.route)));
        rows.push(row("leads to", winner.target.clone()));
        rows.push(row("at most", format!("{} ms, a body of {} bytes", winner.timeout_ms, winner.body_limit_bytes)));
    } else {
        rows.push(row("route", "none takes it".to_owned()));
    }
    rows.extend(told.shadowed.iter().map(|route| row("shadows", route.clone())));
    rows.push(row("token", token(&told.authentication)));
    rows.extend(told.limits.iter().map(|limit| row("limit", limit.clone())));
    let status = match &told.error {
        None => "it would reach its target".to_owned(),
        Some(error) => format!("{} {error}", told.status),
    };
    rows.push(row("answer", status));
    table(&rows)
}

fn token(authentication: &system::Authentication) -> String {
    let Some(auth) = &authentication.auth else { return "none is asked for: the route is public".to_owned() };
    match (&authentication.subject, &authentication.refused) {
        (Some(subject), _) => {
            let roles = authentication.roles.as_deref().unwrap_or("none");
            format!("valid by auth.{auth}, of {subject}, roles {roles}")
        }
        (None, Some(reason)) => format!("asked for by auth.{auth}; {reason}"),
        (None, None) => format!("asked for by auth.{auth}; none was given (--token)"),
    }
}

fn row(name: &str, text: String) -> Vec<String> {
    vec![name.to_owned(), text]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decision {
    service: String,
    target: String,
    /// By a socket of its own, not over HTTP.
    socket: bool,
    allowed: bool,
    rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<String>,
    /// Where: the table and its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// What the name resolves to now, as far as it was looked up.
    addresses: Vec<IpAddr>,
}

/// One decision for each target: a document of one, or a list of several.
fn outgoing(manifest: &Manifest, service: &str, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let settings = manifest.services.get(service);
    let settings = settings.with_context(|| format!("there is no service `{service}` in the manifest"))?;
    let over = |socket: bool| move |target: &String| decision(settings, target, socket);
    let net = arguments.net.iter().map(over(false));
    let decisions = net.chain(arguments.socket.iter().map(over(true))).collect::<anyhow::Result<Vec<_>>>()?;
    match (output.json, &*decisions) {
        (true, [one]) => output.document(one)?,
        (true, several) => output.document(&several)?,
        (false, all) => output.text(&all.iter().map(Decision::text).collect::<String>())?,
    }
    let all = decisions.iter().all(|decision| decision.allowed);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn decision(settings: &ServiceSettings, target: &str, socket: bool) -> anyhow::Result<Decision> {
    let addresses = addresses(target);
    let decided = match socket {
        true => settings.grants.explain_socket(target, &addresses)?,
        false => settings.grants.explain_net(target, &addresses)?,
    };
    Ok(Decision {
        service: settings.name.to_string(),
        target: target.to_owned(),
        socket,
        allowed: decided.allowed,
        rule: decided.rule,
        add: decided.line,
        to: decided.table,
        addresses,
    })
}

impl Decision {
    fn text(&self) -> String {
        let Self { service, target, rule, .. } = self;
        let word = if self.allowed { "may" } else { "may not" };
        let how = if self.socket { "reach by a socket" } else { "reach" };
        let mut text = format!("{service} {word} {how} {target}: {rule}\n");
        if let (Some(line), Some(to)) = (&self.add, &self.to) {
            text.push_str(&format!("to allow it, add `{line}` to {to}\n"));
        }
        text
    }
}

/// What a name resolves to now; nothing where it does not, and the decision is by name alone.
fn addresses(target: &str) -> Vec<IpAddr> {
    let authority = target.split_once("://").map_or(target, |(_scheme, rest)| rest);
    let port = if target.starts_with("https://") { 443 } else { 80 };
    let with_port = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:{port}")
    };
    with_port.to_socket_addrs().map(|found| found.map(|address| address.ip()).collect()).unwrap_or_default()
}
