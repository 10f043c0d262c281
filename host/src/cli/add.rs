//! `archipel add`: a service, a route or a permission written into a manifest, which stays as it was otherwise.
//!
//! What is there already is refused. The manifest is checked with the new lines before it is written, so that it is
//! never left with a mistake that it did not have.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use self::{draft::Draft, permission::added};
use super::{new, output::Output, project};

mod draft;
mod permission;
mod tables;

#[derive(Debug, Subcommand)]
pub(super) enum Add {
    /// Makes a folder with another service, and writes it into the manifest with a route of its own.
    #[command(after_help = "Example:\n  archipel add service mail --lang ts\n\nThe folder has what `archipel new` \
        makes: a service that builds, and its tests. The service may reach nothing until it is granted.")]
    Service {
        /// Of the service and of its folder: lower-case letters, digits and `-`.
        name: String,
        /// That of the project, if it is not given.
        #[arg(long, value_enum)]
        lang: Option<new::Lang>,
        #[command(flatten)]
        to: To,
    },

    /// Writes a route into the manifest.
    #[command(after_help = "Example:\n  archipel add route '/api/mail/{id}' mail --method GET --public\n\nWithout \
        --public it takes a token where the manifest has `gateway.auth`.")]
    Route {
        /// `/api/mail/{id}`: `{name}` is one segment, a final `{*rest}` zero or more.
        path: String,
        /// The service that answers.
        service: String,
        /// Only this method; may be given several times. Without it: every method.
        #[arg(long = "method", value_name = "METHOD")]
        methods: Vec<String>,
        /// Only requests for this host.
        #[arg(long)]
        host: Option<String>,
        /// How often one client may ask: `10/min`.
        #[arg(long)]
        limit: Option<String>,
        /// Anybody may ask, without a token.
        #[arg(long)]
        public: bool,
        #[command(flatten)]
        to: To,
    },

    /// Grants a permission to a service: the line that a denial names.
    #[command(after_help = "Example:\n  archipel add permission mail 'net = [\"smtp.example.com:465\"]'\n\nWhat is \
        granted already stays: lists and tables grow, `read` becomes `read-write`.")]
    Permission {
        service: String,
        /// A line of `services.NAME.permissions`, in TOML.
        line: String,
        #[command(flatten)]
        to: To,
    },
}

#[derive(Debug, Args)]
pub(super) struct To {
    /// The manifest; `archipel.toml` of this folder, if none is named.
    #[arg(long)]
    manifest: Option<PathBuf>,
}

impl To {
    fn file(&self) -> anyhow::Result<Draft> {
        Draft::read(project::manifest(self.manifest.clone())?)
    }
}

pub(super) fn add(add: &Add, output: Output) -> anyhow::Result<ExitCode> {
    match add {
        Add::Service { name, lang, to } => service(name, *lang, to.file()?, output),
        Add::Route { path, service, methods, host, limit, public, to } => {
            let mut file = to.file()?;
            file.expect_service(service)?;
            let route = tables::Route {
                path: path.clone(),
                service: service.clone(),
                methods: methods.iter().map(|method| method.to_uppercase()).collect(),
                host: host.clone(),
                limit: limit.clone(),
                public: *public,
            };
            let lines = tables::route(&mut file.document, &route)?;
            file.write()?;
            told(&file, &lines, output)
        }
        Add::Permission { service, line, to } => {
            let mut file = to.file()?;
            file.expect_service(service)?;
            let lines = added(&mut file.document, service, line)?;
            file.write()?.expect_granted(service, line)?;
            told(&file, &lines, output)
        }
    }
}

/// The manifest comes first: with a mistake in it, no folder is made.
fn service(name: &str, lang: Option<new::Lang>, mut file: Draft, output: Output) -> anyhow::Result<ExitCode> {
    let lang = lang.unwrap_or_else(|| file.language());
    if file.has_service(name) {
        bail!("there is a service `{name}` in {} already; take another name", file.shown());
    }
    let built = new::built(name, lang)?;
    let lines = tables::service(&mut file.document, name, &built)?;
    file.check()?;
    new::beside(name, lang, file.folder())?;
    file.write()?;
    told(&file, &lines, output)
}

fn told(file: &Draft, lines: &str, output: Output) -> anyhow::Result<ExitCode> {
    match output.json {
        true => output.document(&json!({ "manifest": file.shown(), "added": lines }))?,
        false => output.text(&format!("added to {}:\n\n{}\n", file.shown(), indented(lines)))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}
