//! `archipel pull` and `archipel push`: components from and to registries.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;

use super::{
    Output,
    fetching::fetch,
    output::refused,
    run::{environment, runtime},
    table,
};
use crate::{
    component::{Component, Workshop, pulled, read},
    deploy::Freshness,
    engine::{ANY_MEMORY, Lookers},
};
use backend::{
    http::Outbound,
    registry::{About, Registries},
};
use manifest::{Image, Manifest, Remote};

#[derive(Debug, Args)]
pub(super) struct Pull {
    /// A manifest, or one component: `oci://REGISTRY/NAME:TAG`, `oci://REGISTRY/NAME@sha256:…` or `https://…@sha256:…`.
    what: String,
    /// Where to put the one component.
    file: Option<PathBuf>,
    /// The registry has no TLS.
    #[arg(long)]
    plain_http: bool,
}

#[derive(Debug, Args)]
pub(super) struct Push {
    /// The component, a `.wasm` file.
    file: PathBuf,
    /// `oci://REGISTRY/NAME:TAG`.
    to: String,
    /// The registry has no TLS.
    #[arg(long)]
    plain_http: bool,
}

#[derive(Serialize)]
struct Done {
    component: String,
    /// What to write into a manifest, so that it never means another one.
    pinned: String,
    bytes: usize,
}

pub(super) fn pull(arguments: &Pull, output: Output) -> anyhow::Result<ExitCode> {
    match (Remote::is_meant(&arguments.what), &arguments.file) {
        (true, Some(file)) => one(arguments, file, output),
        (true, None) => bail!("name the file to put it into: `archipel pull {} FILE`", arguments.what),
        (false, Some(_)) => bail!("`{}` is a manifest: its components go to where it keeps them", arguments.what),
        (false, None) => all(Path::new(&arguments.what), output),
    }
}

fn one(arguments: &Pull, file: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let remote = reference(&arguments.what)?;
    let registries = registries(&remote, arguments.plain_http)?;
    let fetched = runtime()?.block_on(registries.fetch(&remote))?;
    pulled::put(file, &fetched.wasm).with_context(|| format!("cannot write `{}`", file.display()))?;
    let pinned = match &remote {
        Remote::Registry(image) => Image { tag: None, digest: Some(fetched.digest), ..image.clone() }.to_string(),
        Remote::Address { .. } => remote.to_string(),
    };
    Done { component: remote.to_string(), pinned, bytes: fetched.wasm.len() }.told(output)
}

/// Everything that a manifest names, tags looked at anew.
fn all(file: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let environment = environment();
    let loaded = match Manifest::load(file, &environment) {
        Ok(loaded) => loaded,
        Err(problems) => return refused(&problems, output),
    };
    let pinned = match runtime()?.block_on(fetch(&loaded, &environment, Freshness::Anew))? {
        Ok(pinned) => pinned,
        Err(problems) => return refused(&problems, output),
    };
    if output.json {
        output.document(&pinned)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![["SERVICE", "COMPONENT", "DIGEST", ""].map(str::to_owned).to_vec()];
    rows.extend(pinned.into_iter().map(|one| {
        let news = match (one.fetched, one.unknown) {
            (true, _) => "fetched".to_owned(),
            (false, None) => "here".to_owned(),
            (false, Some(why)) => format!("as it was: {why}"),
        };
        vec![one.service, one.component, one.digest, news]
    }));
    output.text(&table(&rows))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn push(arguments: &Push, output: Output) -> anyhow::Result<ExitCode> {
    let Remote::Registry(image) = reference(&arguments.to)? else {
        bail!("`{}` is no registry; write `oci://REGISTRY/NAME:TAG`", arguments.to);
    };
    let wasm = read(&arguments.file, None)?;
    let lookers = Lookers::new(ANY_MEMORY)?;
    let component = Component::from_bytes("component".into(), &arguments.file, &wasm, &Workshop::looking(&lookers))?;
    let about = About { imports: component.imports, exports: component.exports };
    let bytes = wasm.len();
    let registries = registries(&Remote::Registry(image.clone()), arguments.plain_http)?;
    let digest = runtime()?.block_on(registries.push(&image, wasm.into(), &about))?;
    let pinned = Image { tag: None, digest: Some(digest), ..image.clone() }.to_string();
    Done { component: image.to_string(), pinned, bytes }.told(output)
}

fn reference(text: &str) -> anyhow::Result<Remote> {
    text.parse().map_err(|reason| anyhow::anyhow!("`{text}` {reason}"))
}

fn registries(remote: &Remote, plain: bool) -> anyhow::Result<Registries> {
    let environment = environment();
    let outbound = Outbound::of(&environment)?;
    let plain = match remote {
        Remote::Registry(image) if plain => BTreeSet::from([image.registry.clone()]),
        _ => BTreeSet::new(),
    };
    Ok(Registries::new(&outbound, &environment, plain))
}

impl Done {
    fn told(&self, output: Output) -> anyhow::Result<ExitCode> {
        match output.json {
            true => output.document(self)?,
            false => {
                output.text(&format!("{} is {}, {} KiB\n", self.component, self.pinned, self.bytes.div_ceil(1024)))?
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
