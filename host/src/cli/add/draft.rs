//! A manifest that is edited: read, checked with what is new in it, and written whole or not at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use grant::Permissions;
use manifest::{Loaded, Manifest};
use toml_edit::DocumentMut;

use crate::cli::{new::Lang, run::environment};

pub(super) struct Draft {
    path: PathBuf,
    pub(super) document: DocumentMut,
}

/// A manifest as it was written.
pub(super) struct Written(Loaded);

impl Draft {
    /// # Errors
    /// When it cannot be read, or is no TOML.
    pub(super) fn read(path: PathBuf) -> anyhow::Result<Self> {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let document = text.parse().with_context(|| format!("`{}` is no TOML", path.display()))?;
        Ok(Self { path, document })
    }

    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// What the project beside it is written in.
    pub(super) fn language(&self) -> Lang {
        if self.folder().join("package.json").is_file() { Lang::Ts } else { Lang::Rust }
    }

    pub(super) fn has_service(&self, name: &str) -> bool {
        self.document.get("services").and_then(|services| services.get(name)).is_some()
    }

    /// # Errors
    /// When it is not there, or in a file that the manifest includes, which is left alone.
    pub(super) fn expect_service(&self, name: &str) -> anyhow::Result<()> {
        if self.has_service(name) {
            return Ok(());
        }
        let loaded = Manifest::load(&self.path, &environment()).ok();
        if loaded.is_some_and(|loaded| loaded.manifest.services.contains_key(name)) {
            bail!("`{name}` is in a file that {} includes; edit that one by hand", self.shown());
        }
        let services = self.document.get("services").and_then(|services| services.as_table_like());
        let known = services.map(|services| services.iter().map(|(name, _)| name).collect::<Vec<_>>().join(", "));
        bail!("there is no service `{name}` in {}; it has {}", self.shown(), known.unwrap_or_else(|| "none".to_owned()))
    }

    /// # Errors
    /// Every mistake that it has now.
    pub(super) fn check(&self) -> anyhow::Result<Written> {
        let loaded = Manifest::load_text(&self.path, &self.document.to_string(), &environment());
        loaded.map(Written).map_err(|problems| anyhow!("nothing is written, for with it {problems}"))
    }

    /// Writes it where it was, at once: who reads it sees the one or the other.
    ///
    /// # Errors
    /// Every mistake that it has now; nothing is written then.
    pub(super) fn write(&self) -> anyhow::Result<Written> {
        let written = self.check()?;
        let place = fs::canonicalize(&self.path)?;
        let folder = place.parent().unwrap_or(Path::new("/"));
        let new =
            tempfile::NamedTempFile::new_in(folder).with_context(|| format!("cannot write `{}`", self.shown()))?;
        fs::write(new.path(), self.document.to_string())?;
        fs::set_permissions(new.path(), fs::metadata(&place)?.permissions())?;
        new.persist(&place).with_context(|| format!("cannot write `{}`", self.shown()))?;
        Ok(written)
    }
}

impl Written {
    /// # Errors
    /// When the line does not give what it says: something in the manifest stands against it.
    pub(super) fn expect_granted(&self, service: &str, line: &str) -> anyhow::Result<()> {
        let needs = Permissions::needs(line).map_err(|problems| anyhow!(problems.join("; ")))?;
        let settings = self.0.manifest.services.get(service).with_context(|| format!("no service `{service}`"))?;
        let lacking = settings.grants.lacking(&needs).lines();
        match lacking.is_empty() {
            true => Ok(()),
            false => bail!(
                "it is written, and `{}` is not granted all the same: a `deny` stands against it",
                lacking.join(", ")
            ),
        }
    }
}
