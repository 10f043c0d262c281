//! `archipel run`: start, say what runs, log, and stop in order at a signal.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Output,
    fetching::fetch,
    output::refused,
    progress::Progress,
    signals::{Reloads, Signals},
    supervisor::{READY, STOPPING, Supervisor},
    table::within,
    watch::{Following, Watching, build_first},
};
use crate::{
    component::Compiler,
    deploy::Freshness,
    serve::{self, Report, Running, Surroundings},
    system, telemetry,
};
use document::problem::Problems;
use grant::{Ceiling, Denied};
use manifest::{Audits, Environment, Loaded, Manifest, Oversight};

/// The host's environment; variables that are not Unicode are left out.
pub(super) fn environment() -> Environment {
    let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(unicode).collect()
}

/// For a command that asks others, and is done then.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The token of commands that talk to a running host.
pub(super) fn admin_token() -> Option<String> {
    std::env::var("ARCHIPEL_ADMIN_TOKEN").ok().filter(|token| !token.is_empty())
}

/// Where the system of `archipel test` keeps its keys, for its command.
pub(super) fn test_data() -> Option<PathBuf> {
    std::env::var_os("ARCHIPEL_DATA").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// What a compilation or a look-up that is under way may take at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(150);

/// Whether people may be shown colours.
pub(super) fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none()
}

/// The operator's ceiling and the manifest under it, with the mistakes of both.
pub(super) fn load(
    file: &Path,
    ceiling: Option<&Path>,
    environment: &Environment,
) -> Result<(Loaded, Option<Arc<Ceiling>>), Problems> {
    let ceiling = ceiling.map(manifest::load_ceiling).transpose();
    let loaded = Manifest::load(file, environment);
    match (ceiling, loaded) {
        (Ok(ceiling), Ok(loaded)) => Ok((loaded.under(ceiling.as_ref())?, ceiling)),
        (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => Err(problems),
        (Err(ceiling), Err(manifest)) => {
            Err(Problems::new(file, ceiling.iter().chain(manifest.iter()).cloned().collect()))
        }
    }
}

/// How a host is run.
pub(super) struct Options {
    pub(super) ceiling: Option<PathBuf>,
    /// What is edited is built and swapped in.
    pub(super) watch: bool,
    /// The log is for somebody who edits.
    pub(super) view: bool,
    /// The manifest is applied when its file changes.
    pub(super) apply_on_change: bool,
    /// Denials are let through and told. Never with a ceiling.
    pub(super) audit: bool,
}

/// The manifest, and what is laid over it and over those that come later.
fn overseen(file: &Path, options: &Options, environment: &Environment) -> Result<(Loaded, Oversight), Problems> {
    let (loaded, ceiling) = load(file, options.ceiling.as_deref(), environment)?;
    if options.audit {
        let oversight = Oversight::Audit(Arc::new(Audits::new(tell)));
        return Ok((loaded.overseen(&oversight)?, oversight));
    }
    Ok((loaded, ceiling.map_or(Oversight::None, Oversight::Ceiling)))
}

/// What an audit lets through, once each.
fn tell(denied: &Denied) {
    let (service, target, allow) = (&denied.service, &denied.target, denied.fix.line());
    tracing::warn!(%service, target, rule = denied.rule, allow, "would be denied: {denied}");
}

pub(super) fn run(file: &Path, options: &Options, output: Output) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let environment = environment();
    let (loaded, oversight) = match overseen(file, options, &environment) {
        Ok(overseen) => overseen,
        Err(problems) => return refused(&problems, output),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("archipel").enable_all().build()?;
    if options.watch {
        runtime.block_on(build_first(&loaded.manifest))?;
    }
    if let Err(problems) = runtime.block_on(fetch(&loaded, &environment, Freshness::Kept))? {
        return refused(&problems, output);
    }
    let missing = loaded.missing_components();
    if !missing.is_empty() {
        return refused(&missing, output);
    }
    let filter = environment.get("ARCHIPEL_LOG").map(String::as_str);
    let own = telemetry::own(&environment);
    let telemetry = match options.view {
        true => telemetry::start_view(own, filter, colours())?,
        false => telemetry::start(own, filter.unwrap_or("info"), colours())?,
    };
    let wants_records = telemetry::Export::of(&loaded.manifest, &environment, "").0.logs.is_some();
    telemetry.records.want(wants_records); // the first lines, too
    let ceiling = oversight.ceiling().map(|ceiling| ceiling.file().display().to_string());
    tracing::info!(file = %loaded.manifest.file.display(), digest = loaded.digest, ceiling, "starting");
    for warning in &loaded.warnings {
        tracing::warn!(file = %warning.file.display(), "{warning}");
    }
    if options.audit {
        tracing::error!("an audit: nothing is denied but what `net.deny` says, and folders; for development only");
    }
    let progress = Progress::new(loaded.manifest.services.len());
    let (watch, digest) = (Arc::new(progress), loaded.digest);
    let (lost, logs) = (telemetry.lost.clone(), telemetry.logs.clone());
    let supervisor = Supervisor::of(&environment);
    let of_system = system::Surroundings {
        file: file.to_owned(),
        environment,
        oversight: oversight.clone(),
        compiled: None,
        records: telemetry.records.clone(),
    };
    let surroundings = Surroundings { of_system, digest, watch, lost, logs, began };
    let code = runtime.block_on(live(loaded.manifest, surroundings, (options, &supervisor), output));
    // All tasks are dropped, and with them the private servers of a start that was broken off.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    let (code, manifest) = code?;
    if let (Oversight::Audit(audits), Some(manifest)) = (&oversight, manifest) {
        output.text(&format!(
            "\n# what was used, and what nothing tells the use of (env, read, write, subscribe)\n{}",
            audits.least(&manifest)
        ))?;
    }
    Ok(code)
}

/// Runs until a signal; the manifest that ran last, if it came to that.
async fn live(
    manifest: Manifest,
    surroundings: Surroundings,
    (options, supervisor): (&Options, &Supervisor),
    output: Output,
) -> anyhow::Result<(ExitCode, Option<Arc<Manifest>>)> {
    let (mut signals, reloads) = Signals::and_reloads()?;
    let running = tokio::select! {
        started = serve::start(manifest, surroundings) => started?,
        () = signals.next() => return Ok((ExitCode::SUCCESS, None)),
    };
    supervisor.say(READY);
    let ended = tokio::select! {
        () = signals.next() => Ok(()),
        ended = serving(&running, options, reloads, output) => ended,
        () = supervisor.beats() => Ok(()),
    };
    supervisor.say(STOPPING);
    tracing::info!("draining: no new requests; a second signal stops at once");
    let manifest = Some(running.manifest());
    tokio::select! {
        () = supervisor.beats() => {}
        stragglers = running.stop() => tracing::info!(stragglers, "stopped"),
        () = signals.next() => return Ok((ExitCode::FAILURE, manifest)),
    }
    ended.map(|()| (ExitCode::SUCCESS, manifest))
}

/// Says that it is ready, applies what changes and builds what is edited where that is wanted; ends only when it
/// cannot.
async fn serving(running: &Running, options: &Options, reloads: Reloads, output: Output) -> anyhow::Result<()> {
    let watching = options.watch.then(|| Watching::start(running)).transpose()?;
    let following = (options.apply_on_change && !options.watch).then(|| Following::start(running)).transpose()?;
    if let Err(error) = print(&running.report(), output) {
        // What is served does not depend on who reads this.
        let _ = writeln!(std::io::stderr(), "{error:#}; the host runs");
    }
    let watched = async {
        match watching {
            Some(watching) => watching.run(running).await,
            None => std::future::pending().await,
        }
    };
    let followed = async {
        match following {
            Some(following) => following.run(running).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = watched => ended,
        ended = followed => ended,
        () = reloading(reloads, running) => Ok(()),
    }
}

/// Reads the manifest again whenever a signal says so. One that has mistakes is told, and changes nothing.
async fn reloading(mut reloads: Reloads, running: &Running) {
    loop {
        reloads.next().await;
        running.reload("signal").await;
    }
}

fn print(report: &Report, output: Output) -> anyhow::Result<()> {
    if output.json {
        return output.line(report);
    }
    let mut rows =
        vec![["SERVICE", "VERSION", "FROM", "REQUESTS BY", "PERMISSIONS", "START"].map(str::to_owned).to_vec()];
    rows.extend(report.services.iter().map(|service| {
        let permissions = if service.permissions.is_empty() { "none".into() } else { service.permissions.join(", ") };
        let cached = if service.cached { " (cached)" } else { "" };
        let quick = if service.compiler == Compiler::Winch { " (quick code)" } else { "" };
        vec![
            service.name.clone(),
            service.version.clone(),
            service.source.to_string(),
            service.doors.join(", "),
            permissions,
            format!("{} ms{cached}{quick}", service.start_ms),
        ]
    }));
    let mut text = format!("{} is ready after {} ms\n\n", report.name, report.start_ms);
    for address in &report.listening.gateway {
        text.push_str(&format!("  gateway  http://{address}\n"));
    }
    text.push_str(&format!("  admin    http://{}\n\n", report.listening.admin));
    if let Some(file) = &report.admin_token {
        text.push_str(&format!("  token of the admin API: {}\n\n", file.display()));
    }
    output
        .alarmed(within(&rows, output.width.map(|width| width.saturating_sub(2))))
        .lines()
        .for_each(|line| text.push_str(&format!("  {line}\n")));
    for (name, places) in &report.elsewhere {
        text.push_str(&format!("\n  {name} runs at {}\n", places.join(", ")));
    }
    for service in report.services.iter().filter(|service| !service.cut.is_empty()) {
        text.push_str(&format!(
            "\n  cut from {} by the operator's ceiling: {}\n",
            service.name,
            service.cut.join(", ")
        ));
    }
    let public = if report.public_routes.is_empty() { "nothing".into() } else { report.public_routes.join(", ") };
    text.push_str(&format!("\n  open to everybody, without a token: {public}\n\n"));
    output.text(&text)
}
