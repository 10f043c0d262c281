//! `archipel backup`, `restore` and `move-database`: what the private servers of a manifest keep, in a folder and back, or on a
//! server of one's own.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};
use serde_json::json;

use super::{Output, output::refused, run::environment};
use backend::embedded::{
    DataFolder, Environment,
    backup::{self, Taken},
    moving,
};
use manifest::{DatabasePlace, Manifest, Secret};

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

/// `variable` has the URL of the database that it goes to.
pub(super) fn move_database(file: &Path, name: &str, variable: &str, output: Output) -> anyhow::Result<ExitCode> {
    let environment = environment();
    let loaded = match Manifest::load(file, &environment) {
        Ok(loaded) => loaded,
        Err(problems) => return refused(&problems, output),
    };
    let databases = &loaded.manifest.databases;
    let Some(database) = databases.get(name) else {
        let known: Vec<_> = databases.keys().map(|name| &**name).collect();
        bail!("{} names no database `{name}`; it has {}", file.display(), known.join(", "));
    };
    if database.place != DatabasePlace::Embedded {
        bail!("`postgres.{name}` has a `url` already; remove it until the database has moved");
    }
    let url = environment
        .get(variable)
        .with_context(|| format!("the variable `{variable}` is not set; put the URL of an empty database into it"))?;
    let data = DataFolder::open(&loaded.manifest.host.data)?;
    let (programs, url) = (Environment::of(&environment), Secret::new(url.clone()));
    let moved = runtime()?.block_on(moving::move_out(&data, &programs, name, &url))?;
    let line = format!("url = {{ env = \"{variable}\" }}");
    if output.json {
        output.document(&json!({ "database": name, "tables": moved.tables, "rows": moved.rows, "add": line }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output.text(&format!(
        "{name} has gone over: {} tables, {} rows. Now write `{line}` under [postgres.{name}]; what was here stays until you remove it\n",
        moved.tables, moved.rows
    ))?;
    Ok(ExitCode::SUCCESS)
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
