//! `archipel diff`: what changes from one component to another, or from one manifest to another, in
//! what they need and are granted. Nothing is started.

use std::{path::Path, process::ExitCode};

use anyhow::bail;
use serde::Serialize;

use super::{Output, run::environment};
use crate::{
    component::{Changes, Component, Words, Workshop, changes},
    engine::{ANY_MEMORY, Lookers},
};
use manifest::Manifest;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<[u64; 2]>,
    /// By what changed: `imports`, `needs`, `exports`; or `services`, `permissions of NAME` and `url of NAME`.
    changes: Changes,
}

pub(super) fn diff(old: &Path, new: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let is_manifest = |file: &Path| file.extension().is_some_and(|extension| extension == "toml");
    let difference = match (is_manifest(old), is_manifest(new)) {
        (true, true) => Difference { size_bytes: None, changes: changes(&of_manifest(old)?, &of_manifest(new)?) },
        (false, false) => {
            let ((was, old), (is, new)) = (of_component(old)?, of_component(new)?);
            Difference { size_bytes: Some([was, is]), changes: changes(&old, &new) }
        }
        _ => bail!("a component can be compared with a component, and a manifest with a manifest"),
    };
    match output.json {
        true => output.document(&difference)?,
        false => output.text(&difference.to_text())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn of_component(file: &Path) -> anyhow::Result<(u64, Words)> {
    let lookers = Lookers::new(ANY_MEMORY)?;
    let component = Component::load("component".into(), file, None, &Workshop::looking(&lookers))?;
    Ok((component.size_bytes, component.words()))
}

fn of_manifest(file: &Path) -> anyhow::Result<Words> {
    let manifest = Manifest::load(file, &environment())?.manifest;
    let names = manifest.services.keys().chain(manifest.upstreams.keys());
    let mut words = Words::from([("services".to_owned(), names.map(ToString::to_string).collect())]);
    for (name, service) in &manifest.services {
        words.insert(format!("permissions of {name}"), service.grants.words().into_iter().collect());
    }
    for (name, upstream) in &manifest.upstreams {
        words.insert(format!("url of {name}"), upstream.places().into_iter().collect());
    }
    Ok(words)
}

impl Difference {
    fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some([old, new]) = self.size_bytes {
            text.push_str(&format!("size: {} KiB, was {} KiB\n", new.div_ceil(1024), old.div_ceil(1024)));
        }
        if self.changes.is_empty() {
            text.push_str("the same permissions\n");
        }
        for (name, change) in &self.changes {
            change.removed.iter().for_each(|word| text.push_str(&format!("- {name}: {word}\n")));
            change.added.iter().for_each(|word| text.push_str(&format!("+ {name}: {word}\n")));
        }
        text
    }
}
