//! The command line: one file for each command. A terminal gets tables and progress, a pipe one
//! JSON document; a refusal says what, which one and what to do, and exits 1.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
};

use self::{
    admin::Admin,
    output::{Output, list},
    table::table,
};
use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};

mod add;
mod admin;
mod apply;
mod backup;
mod check;
mod diff;
mod events;
mod explain;
mod fetching;
mod healthcheck;
mod init;
mod inspect;
mod live;
mod new;
mod output;
mod place;
mod progress;
mod project;
mod registry;
mod reload;
mod run;
mod several;
mod signals;
mod status;
mod strip;
mod supervisor;
mod swap;
mod table;
mod test;
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
        after_help = "Example:\n  archipel run manifests/shop.toml\n  archipel run manifests/shop.toml --ceiling /etc/archipel/ceiling.toml\n  archipel run manifests/shop.toml --audit\n\nSIGTERM or ctrl-C drains and stops; a second one stops at once. SIGHUP reads the manifest again, as\n`archipel reload` does; to a host that was started from a terminal it says that this is closed, and drains.\nWith --watch, for development: a service whose source changes is built by its `build` command and\nswapped in; a build that fails is shown and changes nothing; the manifest is applied when it changes.\nWith --apply-on-change the manifest is applied when its file changes, as a ConfigMap does; one with mistakes\nis told in the log and changes nothing.\nWith --ceiling every service has what the manifest grants and the `[ceiling]` of that file allows, no\nmore; `archipel apply` and --watch cannot widen it.\nWith --audit, for development, nothing is denied but what `net.deny` says; when it stops, the least\npermissions that cover what was used are printed as TOML.\nARCHIPEL_LOG sets what is logged (info; info,gateway=debug)."
    )]
    Run {
        manifest: PathBuf,
        /// The operator's own file: what no service may exceed, whatever a manifest grants.
        #[arg(long, value_name = "FILE")]
        ceiling: Option<PathBuf>,
        /// Rebuilds and swaps what is edited.
        #[arg(long)]
        watch: bool,
        /// Applies the manifest when its file, or a link on the way to it, changes.
        #[arg(long)]
        apply_on_change: bool,
        /// For development: lets through what the manifest denies, tells each once, and prints at the end
        /// the least permissions that cover what was used.
        #[arg(long, conflicts_with = "ceiling")]
        audit: bool,
    },

    /// Makes a folder with a service of your own, which builds, runs and is tested.
    #[command(
        after_help = "Example:\n  archipel new notes --lang ts --with postgres\n  cd notes\n  archipel dev\n\nIt has a manifest, a schema for editors, tests, a workflow for CI and a copy of the sdk: all that it needs\nbesides this program and the language's own tools. A folder that holds something is left alone."
    )]
    New(new::Arguments),

    /// Writes a service, a route or a permission into a manifest, which stays as it is otherwise.
    #[command(after_help = "Example:\n  archipel add permission notes 'net = [\"api.example.com:443\"]'")]
    #[command(subcommand)]
    Add(add::Add),

    /// Runs a system while you edit it: what changes is built and live; shows requests, prints and denials.
    #[command(
        after_help = "Example:\n  archipel dev\n  archipel dev manifests/shop.toml\n\n`archipel run --watch` with lines for people: who was asked and what came of it, what services print, what was\ndenied and which line would allow it. ARCHIPEL_LOG sets what is logged (warn,access=info,guest=info)."
    )]
    Dev {
        /// `archipel.toml` of this folder, if none is named.
        manifest: Option<PathBuf>,
    },

    /// Runs a command against the system of a manifest, on free ports and with fresh private databases.
    #[command(
        after_help = "Example:\n  archipel test\n  archipel test manifests/shop.toml -- npm test\n\nEverything is built first and gone afterwards; the exit code is the command's. It finds in its environment\nARCHIPEL_URL (the gateway), ARCHIPEL_ADMIN and ARCHIPEL_ADMIN_TOKEN (the admin API), ARCHIPEL_MANIFEST,\nARCHIPEL_DATA and ARCHIPEL (this program): `\"$ARCHIPEL\" token sign \"$ARCHIPEL_MANIFEST\" --sub 7` makes a\ntoken that is valid here. Databases are reached through services only.\nARCHIPEL_LOG sets what is logged (warn,guest=info), on standard error."
    )]
    Test(test::Arguments),

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

    /// Fetches the components that a manifest names in registries, or one of them into a file.
    #[command(
        after_help = "Example:\n  archipel pull /etc/archipel/manifest.toml\n  archipel pull oci://registry.example.com/shop/users:1.2 users.wasm\n\n`run` fetches what is not here by itself, and goes on with what a tag stood for when it was fetched; this looks\nanew, as `apply` and `reload` do. Credentials are Docker's own (`docker login`; DOCKER_CONFIG names its folder)."
    )]
    Pull(registry::Pull),

    /// Puts a component into a registry, under a tag.
    #[command(
        after_help = "Example:\n  archipel push users.wasm oci://registry.example.com/shop/users:1.2\n\nPrints what pins it: `oci://…@sha256:…`, for `component` in a manifest."
    )]
    Push(registry::Push),

    /// Shows what a component exports, imports and would need.
    #[command(after_help = "Example:\n  archipel inspect components/target/wasm32-wasip2/release/users.wasm")]
    Inspect { file: PathBuf },

    /// Takes names and lines out of a component and leaves them beside it, as FILE.debug: where both lie together, the log
    /// of a failure tells functions and lines.
    #[command(after_help = "Example:\n  archipel strip target/wasm32-wasip2/release/notes.wasm")]
    Strip { file: PathBuf },

    /// Compares two components, or two manifests: what the new one needs or grants more, or less.
    #[command(
        after_help = "Example:\n  archipel diff old.wasm components/target/wasm32-wasip2/release/users.wasm\n  archipel diff manifests/old.toml manifests/shop.toml"
    )]
    Diff { old: PathBuf, new: PathBuf },

    /// Asks a health address and exits 0 or 1; for containers without curl.
    #[command(
        after_help = "Example:\n  archipel healthcheck http://127.0.0.1:3000/health/ready\n  archipel healthcheck 127.0.0.1:3000"
    )]
    Healthcheck {
        /// `http://` or `https://`, whose certificate is not judged; or an address, which is asked for
        /// /health/ready by both [default: 127.0.0.1:3000 and [::1]:3000].
        #[arg(env = "ARCHIPEL_HEALTH")]
        url: Option<String>,
        /// Seconds to go on asking until the answer is good.
        #[arg(long, default_value_t = 0)]
        wait: u64,
    },

    /// Replaces a service's component in the running host, without losing a request.
    #[command(
        after_help = "Example:\n  archipel swap users components/target/wasm32-wasip2/release/users.wasm\n\nThe new build is compiled, compared with its grants, started and asked one smoke request before\nit is live. A build that fails any of it is refused, and what ran before goes on.\nOne that needs more than the manifest grants is refused with the lines to add; --accept-permissions\nadds exactly those, as far as the operator's ceiling allows.\nWith --all the host at --admin is asked for the others, gets the build first, and the others follow one after the\nother when it does well for three seconds (with --ramp: when its ramp is over). A host that fails ends it: what is\nlive where is printed, and the same command goes on from there."
    )]
    Swap(swap::Arguments),

    /// Makes a changed manifest the running one, whole or not at all, without losing a request.
    #[command(
        after_help = "Example:\n  archipel apply manifests/shop.toml\n\nServices whose settings and component are the same are not touched. What takes effect with a restart\nonly (listeners, data, the place of a database) is left as it is and named.\nThe manifest is read here; its paths and includes start from the folder of the host's own.\nThe host is asked where the manifest's `admin.listen` says, if --admin does not say it.\nWith --all every host of the system gets it, one after the other; one that fails ends it."
    )]
    Apply {
        manifest: PathBuf,
        /// On every host of the system that Consul knows, the one at --admin first.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        admin: Admin,
    },

    /// Reads the host's own manifest file again, and its components: what `apply` does, with what is on its machine.
    #[command(
        after_help = "Example:\n  archipel reload\n\nUnlike `apply`, which sends a manifest, nothing is sent, so that everything may change that does not need\na restart. SIGHUP does the same to a host that was not started from a terminal. Certificates and secrets in\nfiles need no reload: they are read again when they change."
    )]
    Reload {
        #[command(flatten)]
        admin: Admin,
    },

    /// Takes what the private servers of a running host keep, and its keys and builds, into a new folder.
    #[command(
        after_help = "Example:\n  archipel backup manifests/shop.toml /var/backups/shop-monday\n\nWhatever is done meanwhile goes on. To be run as the user of the host. A server with a `url` is not in it."
    )]
    Backup { manifest: PathBuf, folder: PathBuf },

    /// Puts a backup into the data folder of a manifest, which has no data yet and no host.
    #[command(after_help = "Example:\n  archipel restore manifests/shop.toml /var/backups/shop-monday")]
    Restore { manifest: PathBuf, folder: PathBuf },

    /// Copies a private database to one of your own, while no host runs.
    #[command(
        after_help = "Example:\n  USERS_URL=postgres://users:…@db.example.com/users archipel move-database manifests/shop.toml users --to USERS_URL\n\nThe database behind the URL is empty, and its role owns it. All of it goes over or nothing; what is here stays as it is."
    )]
    MoveDatabase {
        manifest: PathBuf,
        /// Its name in the manifest.
        database: String,
        /// The variable that has the URL.
        #[arg(long, value_name = "VARIABLE")]
        to: String,
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
    #[command(after_help = "Example:\n  archipel status\n  archipel status --watch")]
    Status {
        /// Shows it again each second; a pipe gets one JSON document a line.
        #[arg(long)]
        watch: bool,
        /// Of every host of the system that Consul knows.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        admin: Admin,
    },
    /// Shows requests as they end, each with what it did and how long that took.
    #[command(
        after_help = "Example:\n  archipel trace --route '/api/users/{id}' --slow 100ms\n\nShows what a collector would be sent: sampled requests, and those that failed or were slow."
    )]
    Trace(live::TraceArguments),

    /// Shows the log of the running host as it is written.
    #[command(after_help = "Example:\n  archipel logs --follow")]
    Logs(live::LogsArguments),

    /// Shows or changes how much the running host logs, until it stops.
    #[command(after_help = "Example:\n  archipel log info,gateway=debug")]
    Log(live::LogArguments),

    /// Shows topics, what is in work and dead letters of events, and replays dead letters.
    #[command(after_help = "Example:\n  archipel events topics\n  archipel events dead notifications")]
    #[command(subcommand)]
    Events(events::Events),

    /// Makes and reads tokens.
    #[command(after_help = "Example:\n  archipel token sign manifests/shop.toml --sub 7 --role admin")]
    #[command(subcommand)]
    Token(token::Token),

    /// Prints what a shell needs to complete these commands.
    #[command(after_help = "Example:\n  archipel completions bash > /etc/bash_completion.d/archipel")]
    Completions { shell: clap_complete::Shell },

    /// Prints the manual page.
    #[command(after_help = "Example:\n  archipel man > /usr/local/share/man/man1/archipel.1")]
    Man,

    /// Prints the manifest's JSON Schema, for editors.
    #[command(after_help = "Example:\n  archipel schema > archipel.schema.json")]
    Schema,
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "archipel", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn man() -> anyhow::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What other programs call it.
const MEANS_RUN: [&str; 5] = ["start", "serve", "server", "up", "launch"];

impl Cli {
    /// What was asked for. Help, and what is wrong about the line, is printed, and the process ends.
    pub fn asked() -> Self {
        Self::try_parse().unwrap_or_else(|mut error| {
            let means_run =
                |value: &ContextValue| matches!(value, ContextValue::String(word) if MEANS_RUN.contains(&&**word));
            if error.get(ContextKind::InvalidSubcommand).is_some_and(means_run) {
                error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec!["run".to_owned()]));
            }
            error.exit()
        })
    }

    /// Runs the command; an error is printed by `main`.
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let terminal = io::stdout().is_terminal();
        let width = terminal.then(table::width).flatten();
        let output = Output { json: self.json || !terminal, red: terminal && run::colours(), width };
        match self.command {
            Command::Run { .. } if init::is_first() => init::run(),
            Command::Run { manifest, ceiling, watch, apply_on_change, audit } => {
                run::run(&manifest, &run::Options { ceiling, watch, apply_on_change, audit, view: false }, output)
            }
            Command::Dev { manifest } => {
                let options =
                    run::Options { ceiling: None, watch: true, apply_on_change: false, audit: false, view: true };
                run::run(&project::manifest(manifest)?, &options, Output { json: self.json, ..output })
            }
            Command::New(arguments) => new::new(&arguments, output),
            Command::Add(what) => add::add(&what, output),
            Command::Completions { shell } => output.text(&completions(shell)).map(|()| ExitCode::SUCCESS),
            Command::Man => output.text(&man()?).map(|()| ExitCode::SUCCESS),
            Command::Test(arguments) => test::test(arguments, output),
            Command::Check { manifest, ceiling } => check::check(&manifest, ceiling.as_deref(), output),
            Command::Explain(arguments) => explain::explain(&arguments, output),
            Command::Pull(arguments) => registry::pull(&arguments, output),
            Command::Push(arguments) => registry::push(&arguments, output),
            Command::Inspect { file } => inspect::inspect(&file, output),
            Command::Strip { file } => strip::strip(&file, output),
            Command::Diff { old, new } => diff::diff(&old, &new, output),
            Command::Healthcheck { url, wait } => {
                healthcheck::ask(url.as_deref(), std::time::Duration::from_secs(wait))
            }
            Command::Swap(arguments) => swap::swap(&arguments, output),
            Command::Apply { manifest, all: true, admin } => apply::apply_to_all(&manifest, &admin, output),
            Command::Apply { manifest, all: false, admin } => apply::apply(&manifest, &admin, output),
            Command::Reload { admin } => reload::reload(&admin, output),
            Command::Backup { manifest, folder } => backup::take(&manifest, &folder, output),
            Command::Restore { manifest, folder } => backup::restore(&manifest, &folder, output),
            Command::MoveDatabase { manifest, database, to } => {
                backup::move_database(&manifest, &database, &to, output)
            }
            Command::Rollback { service, admin } => swap::rollback(&service, &admin, output),
            Command::Versions { service, admin } => status::versions(&service, &admin, output),
            Command::Status { admin, watch, all } => status::status(&admin, watch, all, output),
            Command::Trace(arguments) => live::trace(&arguments, output),
            Command::Logs(arguments) => live::logs(&arguments, output),
            Command::Log(arguments) => live::log(&arguments, output),
            Command::Events(events) => events.execute(output),
            Command::Token(token) => token.execute(output, self.json),
            Command::Schema => output.document(&*manifest::Manifest::schema()).map(|()| ExitCode::SUCCESS),
        }
    }
}
