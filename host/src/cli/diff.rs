//! `archipel diff`: what changes from one component to another, or from one manifest to another, in
//! what they need and are granted. Nothing is started.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::ExitCode,
};

use anyhow::bail;
use serde::Serialize;

use super::{Output, inspect::granting, run::environment};
use crate::{component::Component, engine, manifest::Manifest};

/// A change of one list of words.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Change {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    added: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    removed: BTreeSet<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<[u64; 2]>,
    /// By what changed: `imports`, `needs`, `exports`; or `services` and `permissions of NAME`.
    changes: BTreeMap<String, Change>,
}

type Words = BTreeMap<String, BTreeSet<String>>;

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
    let component = Component::load("component".into(), file, None, &engine::compiler()?, None)?;
    let import = |interface: &String| match granting(interface) {
        grant if grant.is_empty() => interface.clone(),
        grant => format!("{interface} ({grant})"),
    };
    let needs = component.sections.permissions.as_deref().map(needs).unwrap_or_default();
    let words = [
        ("imports", component.imports.iter().map(import).collect()),
        ("exports", component.exports.iter().cloned().collect()),
        ("needs", needs),
    ];
    Ok((component.size_bytes, words.map(|(name, words)| (name.to_owned(), words)).into()))
}

/// A component's needs, a word or two each: `postgres users (read)`, `net api.example.com:443`.
fn needs(text: &str) -> BTreeSet<String> {
    let Ok(table) = text.parse::<toml::Table>() else { return BTreeSet::from(["needs that are no TOML".to_owned()]) };
    let word = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut words = BTreeSet::new();
    for (key, value) in &table {
        match value {
            toml::Value::Array(items) => words.extend(items.iter().map(|item| format!("{key} {}", word(item)))),
            toml::Value::Table(items) => {
                words.extend(items.iter().map(|(name, item)| format!("{key} {name} ({})", word(item))))
            }
            other => _ = words.insert(format!("{key} {}", word(other))),
        }
    }
    words
}

fn of_manifest(file: &Path) -> anyhow::Result<Words> {
    let manifest = Manifest::load(file, &environment())?.manifest;
    let mut words = Words::from([("services".to_owned(), manifest.services.keys().map(ToString::to_string).collect())]);
    for (name, service) in &manifest.services {
        words.insert(format!("permissions of {name}"), service.grants.list().into_iter().collect());
    }
    Ok(words)
}

fn changes(old: &Words, new: &Words) -> BTreeMap<String, Change> {
    let none = BTreeSet::new();
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| {
        let (old, new) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
        let beyond = |these: &BTreeSet<String>, those| these.difference(those).cloned().collect();
        Change { added: beyond(new, old), removed: beyond(old, new) }
    };
    let all = names.into_iter().map(|name| (name.clone(), change(name)));
    all.filter(|(_, change)| *change != Change::default()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_what_went_is_told_and_nothing_else() {
        let words = |text: &str| Words::from([("needs".to_owned(), needs(text))]);
        let old = words("postgres = { users = \"read\" }\nnet = [\"a.example:443\"]\npasswords = true");
        let new = words(
            "postgres = { users = \"read-write\" }\nnet = [\"a.example:443\", \"b.example:443\"]\npasswords = true",
        );
        let changes = changes(&old, &new);
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(changes["needs"].added, set(&["net b.example:443", "postgres users (read-write)"]));
        assert_eq!(changes["needs"].removed, set(&["postgres users (read)"]));
        assert!(super::changes(&old, &old).is_empty());
    }
}
