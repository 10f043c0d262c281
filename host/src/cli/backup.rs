//! `archipel backup` and `restore`: what the private servers of a manifest keep, in a folder and back.

use std::{path::Path, process::ExitCode};

use super::{Output, output::refused, run::environment};
use backend::embedded::{
    DataFolder, Environment,
    backup::{self, Taken},
};
use manifest::Manifest;

pub(super) fn take(file: &Path, to: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let environment = environment();
    let loaded = match Manifest::load(file, &environment) {
        Ok(loaded) => loaded,
        Err(problems) => return refused(&problems, output),
    };
    let data = loaded.manifest.host.data;
    let taken = runtime()?.block_on(backup::take(&data, &Environment::of(&environment), to))?;
    told(&taken, &format!("{} has", to.display()), output)
}

pub(super) fn restore(file: &Path, from: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let environment = environment();
    let loaded = match Manifest::load(file, &environment) {
        Ok(loaded) => loaded,
        Err(problems) => return refused(&problems, output),
    };
    let data = DataFolder::open(&loaded.manifest.host.data)?;
    let taken = runtime()?.block_on(backup::put_back(&data, &Environment::of(&environment), from))?;
    told(&taken, &format!("{} has again", data.path().display()), output)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn told(taken: &Taken, has: &str, output: Output) -> anyhow::Result<ExitCode> {
    if output.json {
        output.document(taken)?;
        return Ok(ExitCode::SUCCESS);
    }
    let of_postgres =
        taken.postgres.as_ref().map(|major| format!("of PostgreSQL {major}: {}", taken.databases.join(", ")));
    let of_redis = taken.redis.then(|| "all of Redis".to_owned());
    let parts: Vec<String> = of_postgres.into_iter().chain(of_redis).collect();
    output.text(&format!("{has} what was there at {}: {}\n", taken.at, parts.join("; ")))?;
    Ok(ExitCode::SUCCESS)
}
