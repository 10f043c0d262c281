//! `archipel check`: a manifest and its components together, all mistakes at once.

use std::{path::Path, process::ExitCode};

use serde::Serialize;

use super::{Output, run::environment};
use crate::{
    component::Component,
    deploy::missing_needs,
    engine,
    manifest::{Loaded, Manifest, ServiceSettings},
    problem::{Problem, Problems},
};

#[derive(Serialize)]
struct Checked {
    ok: bool,
    manifest: String,
    services: usize,
    routes: usize,
    warnings: Vec<Problem>,
}

pub(super) fn check(file: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let (loaded, problems) = match Manifest::examine(file, &environment()) {
        Ok(examined) => examined,
        Err(problems) => return refused(&problems, output),
    };
    let engine = engine::compiler()?;
    // What is wrong with a component whose own table has mistakes may be due to these.
    let judged = loaded.manifest.services.values().filter(|service| !has_mistakes(service, &problems));
    let components = judged.flat_map(|service| component_problems(&loaded, service, &engine));
    let problems = Problems::new(file, problems.iter().cloned().chain(components).collect());
    if !problems.is_empty() {
        return refused(&problems, output);
    }
    let checked = Checked {
        ok: true,
        manifest: file.display().to_string(),
        services: loaded.manifest.services.len(),
        routes: loaded.manifest.routes.len(),
        warnings: loaded.warnings,
    };
    match output.json {
        true => output.document(&checked)?,
        false => output.text(&checked.to_text())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn has_mistakes(service: &ServiceSettings, problems: &Problems) -> bool {
    let table = format!("services.{}", service.name);
    let within = |key: &str| key.strip_prefix(&table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    problems.iter().any(|problem| within(&problem.key))
}

fn component_problems(loaded: &Loaded, service: &ServiceSettings, engine: &wasmtime::Engine) -> Vec<Problem> {
    let key = |last: &str| format!("services.{}.{last}", service.name);
    let component = Component::load(service.name.clone(), &service.component, service.build.as_deref(), engine, None);
    let component = component.and_then(|component| component.check_handler(&service.component).map(|()| component));
    let component = match component {
        Ok(component) => component,
        Err(error) => return vec![loaded.problem(&key("component"), error)],
    };
    let missing = component.missing(&service.grants);
    let missing = missing.iter().map(|missing| loaded.problem(&key("component"), missing));
    let lines = missing_needs(component.sections.permissions.as_deref(), &service.grants);
    let needs = lines.iter().map(|line| {
        loaded.problem(&key("permissions"), format_args!("the component needs `{line}`, which is not granted; add it"))
    });
    missing.chain(needs).collect()
}

impl Checked {
    fn to_text(&self) -> String {
        let mut text = String::new();
        for warning in &self.warnings {
            text.push_str(&format!("warning: {warning}\n"));
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

/// Prints the mistakes: as JSON to a pipe, as text to standard error on a terminal.
pub(super) fn refused(problems: &Problems, output: Output) -> anyhow::Result<ExitCode> {
    if output.json {
        output.document(problems)?;
    }
    eprint(&format!("{problems}\n"));
    Ok(ExitCode::FAILURE)
}

#[expect(clippy::print_stderr, reason = "a command's refusal is for its user")]
fn eprint(text: &str) {
    eprint!("{text}");
}
