//! `archipel check`: a manifest and its components together, all mistakes at once.

use std::{collections::BTreeMap, path::Path, process::ExitCode};

use serde::Serialize;

use super::{Output, output::refused, run::environment};
use crate::{
    component::{Component, ComponentError, Ungranted, Workshop},
    engine::Lookers,
    instance::InstanceState,
};
use document::problem::{Problem, Problems, chain};
use grant::{Grants, Permissions};
use manifest::{Loaded, Manifest, Reuse, ServiceSettings};

const FETCH_EVENT: &str = "the component answers in JavaScript's fetch event, after which its engine takes no second request, so \
     each gets an instance of its own; remove `reuse`, or build it with the npm package `archipel` (docs/typescript.md)";

#[derive(Serialize)]
struct Checked {
    ok: bool,
    manifest: String,
    services: usize,
    routes: usize,
    /// By which packages requests come into a component, by service.
    doors: BTreeMap<String, Vec<&'static str>>,
    /// Some service may reach everything.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unrestricted: bool,
    /// What components import of the standard beyond their grants, by service: each use is denied.
    #[serde(rename = "importedNotGranted", skip_serializing_if = "BTreeMap::is_empty")]
    ungranted: BTreeMap<String, Vec<Ungranted>>,
    warnings: Vec<Problem>,
}

pub(super) fn check(file: &Path, ceiling: Option<&Path>, output: Output) -> anyhow::Result<ExitCode> {
    let (ceiling, beside) = match ceiling.map(manifest::load_ceiling).transpose() {
        Ok(ceiling) => (ceiling, Vec::new()),
        Err(problems) => (None, problems.iter().cloned().collect()),
    };
    let (mut loaded, problems) = match Manifest::examine(file, &environment()) {
        Ok(examined) => examined,
        Err(problems) => {
            return refused(&Problems::new(file, problems.iter().cloned().chain(beside).collect()), output);
        }
    };
    let narrowed = loaded.narrow(ceiling.as_ref());
    let problems = Problems::new(file, problems.iter().cloned().chain(beside).chain(narrowed).collect());
    let memory = loaded.manifest.services.values().map(|service| service.limits.memory_bytes).max();
    let lookers = Lookers::new(memory.unwrap_or_default())?;
    let mut found = Found::default();
    // What is wrong with a component whose own table has mistakes may be due to these.
    let judged = loaded.manifest.services.values().filter(|service| !has_mistakes(service, &problems));
    let components = judged.flat_map(|service| component_problems(&loaded, service, &lookers, &mut found));
    let problems = Problems::new(file, problems.iter().cloned().chain(components).collect());
    if !problems.is_empty() {
        return refused(&problems, output);
    }
    loaded.warnings.append(&mut found.warnings);
    let checked = Checked {
        ok: true,
        manifest: file.display().to_string(),
        services: loaded.manifest.services.len() + loaded.manifest.upstreams.len(),
        routes: loaded.manifest.routes.len(),
        unrestricted: loaded.manifest.services.values().any(|service| service.grants.is_unrestricted()),
        doors: found.doors,
        ungranted: found.ungranted,
        warnings: loaded.warnings,
    };
    match output.json {
        true => output.document(&checked)?,
        false => output.text(&checked.to_text(output))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is worth telling of components that have no mistakes.
#[derive(Default)]
struct Found {
    doors: BTreeMap<String, Vec<&'static str>>,
    ungranted: BTreeMap<String, Vec<Ungranted>>,
    warnings: Vec<Problem>,
}

fn has_mistakes(service: &ServiceSettings, problems: &Problems) -> bool {
    let table = format!("services.{}", service.name);
    let within = |key: &str| key.strip_prefix(&table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    problems.iter().any(|problem| within(&problem.key))
}

fn component_problems(
    loaded: &Loaded,
    service: &ServiceSettings,
    lookers: &Lookers,
    found: &mut Found,
) -> Vec<Problem> {
    let key = |last: &str| format!("services.{}.{last}", service.name);
    if let (Some(remote), false) = (&service.remote, service.component.is_file()) {
        let fix =
            format_args!("{remote} is not here; `archipel pull {}` fetches it", service.grants.manifest().display());
        return vec![loaded.problem(&key("component"), fix)];
    }
    let workshop = Workshop::looking(lookers);
    let component = Component::load(service.name.clone(), &service.component, service.build.as_deref(), &workshop);
    let component = component.and_then(|component| component.check_handler(&service.component).map(|()| component));
    let component = match component {
        Ok(component) => component,
        Err(error) => return vec![loaded.problem(&key("component"), chain(&error))],
    };
    found.doors.insert(service.name.to_string(), component.doors().words());
    let ungranted = component.ungranted(&service.grants, !service.env.is_empty());
    if !ungranted.is_empty() {
        found.ungranted.insert(service.name.to_string(), ungranted);
    }
    if service.limits.reuse != Reuse::Fresh && component.is_fetch_event() {
        found.warnings.push(loaded.problem(&key("limits.reuse"), FETCH_EVENT));
    }
    let missing = component.missing(&service.grants);
    // What is not offered, or not granted, is not linked either, and told so.
    if let (true, Some(error)) = (missing.is_empty(), unlinked(&component, &service.component)) {
        return vec![loaded.problem(&key("component"), chain(&error))];
    }
    let missing = missing.iter().map(|missing| loaded.problem(&key("component"), missing));
    let needs = match component.needs() {
        Ok(needs) => lacking(&service.grants, &needs),
        Err(problems) => {
            problems.iter().map(|problem| format!("the component's needs cannot be read: {problem}")).collect()
        }
    };
    let needs = needs.into_iter().map(|message| loaded.problem(&key("permissions"), message));
    missing.chain(needs).collect()
}

/// Why it could not be linked, where that is for an interface of ours.
fn unlinked(component: &Component, path: &Path) -> Option<ComponentError> {
    let linker = crate::capability::linker::<InstanceState>(component.compiled.engine()).ok()?;
    let error = linker.instantiate_pre(&component.compiled).err()?;
    component.outdated(path, &error)
}

/// What a component needs beyond `grants`, and whose word would have to change.
fn lacking(grants: &Grants, needs: &Permissions) -> Vec<String> {
    let lacking = grants.lacking(needs);
    let beyond = grants.beyond_ceiling(&lacking);
    let by_manifest = beyond.lacking(&lacking).lines().into_iter();
    let by_manifest = by_manifest.map(|line| format!("the component needs `{line}`, which is not granted; add it"));
    let ceiling = grants.ceiling().map(|ceiling| ceiling.file().display().to_string()).unwrap_or_default();
    let by_ceiling = beyond.lines().into_iter().map(|line| {
        format!("the component needs `{line}`, which the operator's ceiling {ceiling} does not allow; add it to `[ceiling]` there")
    });
    by_manifest.chain(by_ceiling).collect()
}

impl Checked {
    fn to_text(&self, output: Output) -> String {
        let mut text = String::new();
        for warning in &self.warnings {
            text.push_str(&output.alarmed(format!("warning: {warning}\n")));
        }
        for (service, doors) in &self.doors {
            text.push_str(&format!("{service}: requests by {}\n", doors.join(", ")));
        }
        for (service, ungranted) in &self.ungranted {
            for one in ungranted {
                text.push_str(&format!("{service}: imported, not granted: {one}\n"));
            }
        }
        text.push_str(&format!(
            "{}: {}, {}, no mistakes\n",
            self.manifest,
            count(self.services, "service"),
            count(self.routes, "route")
        ));
        text
    }
}

fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
