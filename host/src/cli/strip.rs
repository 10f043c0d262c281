//! `archipel strip`: a component without names and lines, and those beside it.

use std::{path::Path, process::ExitCode};

use serde::Serialize;

use super::Output;
use crate::component;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    file: String,
    size_bytes: u64,
    /// Where names and lines are; nowhere where the component had none.
    names: Option<String>,
}

pub(super) fn strip(file: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let (size_bytes, names) = component::strip(file, &component::read(file, None)?)?;
    let done =
        Done { file: file.display().to_string(), size_bytes, names: names.map(|names| names.display().to_string()) };
    match output.json {
        true => output.document(&done)?,
        false => output.text(&done.to_text())?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Done {
    fn to_text(&self) -> String {
        let Self { file, size_bytes, names } = self;
        match names {
            Some(names) => format!("{file} has {size_bytes} bytes; its names and lines are in {names}\n"),
            None => format!("{file} has neither names nor lines\n"),
        }
    }
}
