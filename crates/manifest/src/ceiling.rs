//! The operator's ceiling: its file, and what it leaves of a manifest.
//!
//! Reads the file that `--ceiling` names, with all its mistakes at once. What is left of each
//! permission is decided in `grant`; here it is told.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Loaded, ServiceSettings,
    files::{absolute, read_text},
    raw::RawCeiling,
};
use document::problem::{Problem, Problems};
use document::source::{Key, child};
use document::structure::{self, nearest};
use grant::{Ceiling, Grants, Mode, Permissions, RawPermissions, Reading, Whose};

/// Reads the operator's file.
///
/// # Errors
/// Every mistake in it.
pub fn load_ceiling(path: &Path) -> Result<Arc<Ceiling>, Problems> {
    let wrong = |problems| Problems::new(path, problems);
    let unreadable = |error: std::io::Error| {
        let message =
            format!("cannot read it: {error}; name the operator's file, such as `/etc/archipel/ceiling.toml`");
        wrong(vec![Problem { file: path.into(), place: None, key: String::new(), message }])
    };
    let text = read_text(path).map_err(unreadable)?;
    let file = absolute(path).map_err(unreadable)?;
    let read = structure::read::<RawCeiling>(path, &text, crate::later::refusal);
    let mut problems: Vec<Problem> = read.problems.into_iter().map(of_another_file).collect();
    let key = read.source.root().child("ceiling");
    let ceiling = match read.raw.map(|raw| raw.ceiling) {
        Some(Some(raw)) => Some(read_ceiling(raw, &key, file, &mut problems)),
        Some(None) if !key.is_written() => {
            problems.push(key.problem("is missing; add `[ceiling]`: a file without it would allow nothing"));
            None
        }
        _ => None,
    };
    match ceiling {
        Some(ceiling) if problems.is_empty() => Ok(Arc::new(ceiling)),
        _ => Err(wrong(problems)),
    }
}

fn read_ceiling(raw: RawPermissions, key: &Key<'_>, file: PathBuf, problems: &mut Vec<Problem>) -> Ceiling {
    if raw.used.is_some() {
        let message = "a ceiling names no permission sets, which are a manifest's; write here what they allow";
        problems.push(key.child("use").problem(message));
    }
    // What would be a warning in a manifest is the operator's choice here.
    let (folder, mut warnings) = (file.parent().map(Path::to_owned).unwrap_or_default(), Vec::new());
    let reading = &mut Reading { whose: Whose::Ceiling, folder: &folder, problems, warnings: &mut warnings };
    Ceiling::new(file, Permissions::read(raw, key, reading))
}

/// A table that belongs into a manifest, or is misspelt.
fn of_another_file(problem: Problem) -> Problem {
    let is_ours = problem.key.is_empty() || problem.key == "ceiling" || problem.key.starts_with("ceiling.");
    if is_ours || nearest(&problem.key, ["ceiling"]).is_some() {
        return problem;
    }
    let message = "belongs in a manifest; this file has one table, `[ceiling]`".to_owned();
    Problem { message, ..problem }
}

impl Loaded {
    /// The same as far as the operator allows it, and a warning for each service of which that takes
    /// something.
    ///
    /// # Errors
    /// What cannot run as it is left.
    pub fn under(mut self, ceiling: Option<&Arc<Ceiling>>) -> Result<Self, Problems> {
        let problems = self.narrow(ceiling);
        match problems.is_empty() {
            true => Ok(self),
            false => Err(Problems::new(&self.file, problems)),
        }
    }

    /// The same for a tool that goes on looking.
    pub fn narrow(&mut self, ceiling: Option<&Arc<Ceiling>>) -> Vec<Problem> {
        let Some(ceiling) = ceiling else { return Vec::new() };
        let file = ceiling.file().display();
        let (mut warnings, mut problems) = (Vec::new(), Vec::new());
        let names: Vec<Arc<str>> = self.manifest.services.keys().cloned().collect();
        for name in names {
            let Some(service) = self.manifest.services.get_mut(&name) else { continue };
            hold(service, ceiling);
            let grants = service.grants.clone();
            let key = format!("services.{name}.permissions");
            let cut = grants.cut().join(", ");
            if !grants.is_unrestricted() {
                // Not true any more: that it reaches everything.
                self.warnings.retain(|warning| warning.key != format!("{key}.net"));
            }
            if !cut.is_empty() {
                warnings.push(self.problem(
                    &key,
                    format_args!("the operator's ceiling {file} does not allow `{name}` all of it; cut: {cut}"),
                ));
            }
            for database in self.unreadable(&grants) {
                let message = format!(
                    "the operator's ceiling {file} allows reading only, which needs a role that can only read; add \
                     `url_read` to `[postgres.{database}]`"
                );
                problems.push(self.problem(&child(&child(&key, "postgres"), &database), message));
            }
        }
        self.warnings.extend(warnings);
        problems.extend(self.beyond(ceiling));
        problems
    }

    /// Addresses of services elsewhere that the operator does not let anybody dial.
    fn beyond(&self, ceiling: &Arc<Ceiling>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for settings in self.manifest.upstreams.values() {
            let grants = Grants::new(settings.name.clone(), self.manifest.file.clone(), settings.dials());
            let cut = grants.under(ceiling.clone()).cut();
            if !cut.is_empty() {
                let message = format!(
                    "the operator's ceiling {} does not allow to dial {}; add it to `net` there",
                    ceiling.file().display(),
                    cut.join(", ")
                );
                problems.push(self.problem(&child(&format!("services.{}", settings.name), "url"), message));
            }
        }
        problems
    }

    /// Databases that the ceiling lets a service read only, and that have no role for that.
    fn unreadable(&self, grants: &Grants) -> Vec<Arc<str>> {
        let reading = grants.databases().filter(|granted| granted.get().mode == Mode::Read);
        let names = reading.map(|granted| granted.get().database.clone());
        let cut = names.filter(|name| grants.written().postgres.0.get(name) == Some(&Mode::ReadWrite));
        let unfit = |name: &Arc<str>| {
            self.manifest.databases.get(name).is_some_and(|settings| !settings.can_be_used(Mode::Read))
        };
        cut.filter(unfit).collect()
    }
}

/// The permissions of a service, and the variables that it sees.
fn hold(service: &mut ServiceSettings, ceiling: &Arc<Ceiling>) {
    let grants = Grants::clone(&service.grants).under(ceiling.clone());
    service.env.retain(|name, _| grants.env().allows(name));
    service.grants = Arc::new(grants);
}
