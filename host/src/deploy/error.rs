//! Why a service cannot be deployed, in the words of whoever has to change something.

use std::sync::Arc;

use crate::component::{ComponentError, Missing};
use grant::Grants;

/// Why a service cannot be deployed. Whatever was running before is still running.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("cannot start service `{service}`")]
    Component {
        service: Arc<str>,
        #[source]
        source: ComponentError,
    },

    #[error("cannot start service `{service}`: {}", list(.missing))]
    Missing { service: Arc<str>, missing: Vec<Missing> },

    #[error("cannot start service `{service}`: what its component says it needs cannot be read: {}", .problems.join("; "))]
    Unreadable { service: Arc<str>, problems: Vec<String> },

    #[error("cannot start service `{service}`: its component needs more than {}", more(.service, .grants, .lines, .beyond))]
    Needs {
        service: Arc<str>,
        grants: Arc<Grants>,
        lines: Vec<String>,
        /// Those of them that the operator's ceiling does not allow, whatever the manifest says.
        beyond: Vec<String>,
    },

    #[error("cannot link service `{service}`; `archipel inspect` lists what its component imports")]
    Link {
        service: Arc<str>,
        #[source]
        source: anyhow::Error,
    },

    #[error("cannot give service `{service}` its folders")]
    Folder {
        service: Arc<str>,
        #[source]
        source: backend::folder::FolderError,
    },

    #[error("service `{service}` does not start: {reason}")]
    Trial { service: Arc<str>, reason: String },

    #[error("the smoke request of service `{service}` failed: {reason}")]
    Smoke { service: Arc<str>, reason: String },

    #[error("cannot prepare the databases of service `{service}`")]
    Migrate {
        service: Arc<str>,
        #[source]
        source: backend::postgres::StartError,
    },

    #[error("cannot remember what service `{service}` runs; `host.data` must be a folder this user can write to")]
    History {
        service: Arc<str>,
        #[source]
        source: std::io::Error,
    },

    #[error("loading service `{service}` broke off")]
    Broken { service: Arc<str> },
}

fn list(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Whose word to change for these lines, and how.
fn more(service: &str, grants: &Grants, lines: &[String], beyond: &[String]) -> String {
    match grants.ceiling().filter(|_| !beyond.is_empty()) {
        Some(ceiling) => {
            let file = ceiling.file().display();
            format!(
                "the operator's ceiling {file} allows; to allow it, add to `[ceiling]` there:\n{}",
                beyond.join("\n")
            )
        }
        None => {
            let manifest = grants.manifest().display();
            format!("{manifest} grants; add to `services.{service}.permissions`:\n{}", lines.join("\n"))
        }
    }
}
