//! `archipel inspect`: what is in a component, in the words of a manifest.

use std::{path::Path, process::ExitCode};

use serde::Serialize;

use super::Output;
use crate::{
    capability::{Needed, is_standard},
    component::{Component, Workshop},
    engine::{ANY_MEMORY, Lookers},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inspection {
    file: String,
    digest: String,
    size_bytes: u64,
    /// `0.2`, or `none` for a component that is no HTTP service.
    wasi: String,
    /// By which packages requests come in: `wasi:http`, `archipel:http`.
    doors: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    exports: Vec<String>,
    imports: Vec<Import>,
    /// What its author says it needs, as `[services.NAME.permissions]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<String>,
    has_openapi: bool,
    runnable: bool,
}

#[derive(Serialize)]
struct Import {
    interface: String,
    /// What a manifest must say for it; empty for what every component has.
    grant: String,
}

pub(super) fn inspect(file: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let lookers = Lookers::new(ANY_MEMORY)?;
    let component = Component::load("component".into(), file, None, &Workshop::looking(&lookers))?;
    let found = Inspection::of(file, component);
    match output.json {
        true => output.document(&found)?,
        false => output.text(&found.to_text())?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Inspection {
    fn of(file: &Path, component: Component) -> Self {
        let doors = component.doors();
        let known = |import: &String| Needed::of(import) != Needed::Unknown || component.types_only.contains(import);
        let runnable = doors.are_some() && component.imports.iter().all(known);
        let import = |interface: &String| Import { interface: interface.clone(), grant: grant(interface, &component) };
        Self {
            file: file.display().to_string(),
            digest: format!("sha256:{}", component.digest),
            size_bytes: component.size_bytes,
            wasi: match doors.standard {
                true => "0.2".into(),
                false => "none: it does not export wasi:http/incoming-handler@0.2".into(),
            },
            doors: doors.words(),
            imports: component.imports.iter().map(import).collect(),
            exports: component.exports,
            language: component.sections.language,
            needs: component.sections.permissions,
            has_openapi: component.sections.openapi.is_some(),
            runnable,
        }
    }

    fn to_text(&self) -> String {
        let mut rows = vec![
            vec!["file".into(), self.file.clone()],
            vec!["digest".into(), self.digest.clone()],
            vec!["size".into(), format!("{} KiB", self.size_bytes.div_ceil(1024))],
            vec!["wasi:http".into(), self.wasi.clone()],
            vec!["doors".into(), if self.doors.is_empty() { "nothing".into() } else { self.doors.join(", ") }],
            vec!["language".into(), self.language.clone().unwrap_or_else(|| "not recorded".into())],
        ];
        // A name without a package is for the tools that made it, such as `exports` of Python's.
        let packaged = self.exports.iter().filter(|export| export.contains(':'));
        rows.extend(packaged.map(|export| vec!["exports".into(), export.clone()]));
        rows.extend(
            self.imports.iter().map(|import| vec!["imports".into(), import.interface.clone(), import.grant.clone()]),
        );
        let mut text = super::table(&rows);
        if let Some(needs) = &self.needs {
            text.push_str("\nneeds, by its own word ([services.NAME.permissions]):\n");
            needs.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
        if !self.runnable {
            text.push_str("\nthis host cannot run it as a service\n");
        }
        text
    }
}

/// What a manifest must say for an interface; empty for what every component has.
fn grant(interface: &str, component: &Component) -> String {
    match Needed::of(interface) {
        Needed::Nothing => String::new(),
        _ if component.types_only.contains(interface) => "types only: nothing to grant".into(),
        needed @ Needed::SomeOf(_) if is_standard(interface) => {
            format!("{}; without it, each use is denied", needed.permission())
        }
        needed => needed.permission(),
    }
}
