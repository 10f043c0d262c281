//! A `.wasm` file: read, checked, compiled, compared with its grants.
//!
//! Everything here happens before a component takes a request. Nothing of it runs guest code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use symbols::Lines;
use wasmtime::component::types::ComponentItem;

use crate::capability::{self, Needed};
use grant::{Grants, Kind, Permissions};

mod alone;
mod artifact;
mod builds;
mod code;
mod difference;
mod digest;
mod doors;
mod durable;
mod error;
mod history;
mod ignored;
mod known;
mod names;
pub mod pulled;
mod sections;
mod sources;

pub use artifact::Artifacts;
pub use builds::Builds;
pub use code::{Compiler, Workshop};
pub use difference::{Changes, Words, changes};
pub use digest::Digest;
pub use doors::Doors;
pub use error::{ArtifactsError, ComponentError, SIZE_MAX_BYTES};
pub use history::{Accepted, Entry, Histories, History, Outcome, Start};
pub use ignored::Ignored;
pub use names::strip;
pub use sections::Sections;
pub use sources::{Sources, changed_at, way_to};

use code::Code;

/// A component that compiled.
pub struct Component {
    /// The service it was loaded for.
    pub service: Arc<str>,
    pub digest: Digest,
    pub size_bytes: u64,
    /// Shared with every service of the same file.
    pub compiled: Arc<wasmtime::component::Component>,
    /// `wasi:io/poll@0.2.3`, …, in the component's order.
    pub imports: Vec<String>,
    /// Those of them that have nothing but types: no request.
    pub types_only: BTreeSet<String>,
    /// Whether it can come from a folder to a file in it.
    pub opens_files: bool,
    pub exports: Vec<String>,
    pub sections: Sections,
    /// The compiled code came from the artifact cache.
    pub cached: bool,
    /// Whose code it is.
    pub compiler: Compiler,
    /// For when it fails.
    pub lines: Arc<Lines>,
}

/// An import that the manifest does not cover.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("`{service}` imports `{import}`, which {manifest} does not grant; add `{line}` to `services.{service}.permissions`", manifest = .manifest.display())]
    Grant { service: Arc<str>, import: String, line: String, manifest: PathBuf },

    #[error("`{service}` imports `{import}`, of which the operator's ceiling {} allows its manifest nothing; to allow some, add `{line}` to `ceiling` there", .ceiling.display())]
    Ceiling { service: Arc<str>, import: String, line: String, ceiling: PathBuf },

    #[error("`{service}` is granted `subscribe`, but its component does not export `{}`; export it (`sdk::consumer!`), or remove `subscribe` from `services.{service}.permissions` in {}", capability::messaging::CONSUMER, .manifest.display())]
    Consumer { service: Arc<str>, manifest: PathBuf },

    #[error(
        "`{service}` imports `{import}`, which this host does not offer; `archipel inspect` lists what a component imports"
    )]
    Unknown { service: Arc<str>, import: String },
}

/// Interfaces of the standard that a component imports and is not granted: each use is denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ungranted {
    /// What would grant them.
    pub permission: String,
    pub imports: Vec<String>,
}

impl fmt::Display for Ungranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.imports.join(", "), self.permission)
    }
}

impl Missing {
    /// Whether a line in the manifest, or in the ceiling, would help.
    pub fn is_grantable(&self) -> bool {
        matches!(self, Self::Grant { .. } | Self::Ceiling { .. })
    }

    fn is_of(&self, wanted: &str) -> bool {
        matches!(self, Self::Grant { import, .. } if import == wanted)
    }
}

impl Component {
    /// Reads, checks and compiles a file, or takes its compiled form from where `workshop` keeps it.
    ///
    /// Blocking, up to seconds for a large component: call it where that is allowed.
    pub fn load(
        service: Arc<str>,
        path: &Path,
        build: Option<&str>,
        workshop: &Workshop<'_>,
    ) -> Result<Self, ComponentError> {
        Self::from_bytes(service, path, &read(path, build)?, workshop)
    }

    /// The same for bytes that are here already; `path` is what messages call them.
    ///
    /// Blocking, like [`Component::load`].
    pub fn from_bytes(
        service: Arc<str>,
        path: &Path,
        bytes: &[u8],
        workshop: &Workshop<'_>,
    ) -> Result<Self, ComponentError> {
        let mut sections = check(path, bytes)?;
        let digest = Digest::of(bytes);
        let names = workshop.artifacts.map(|artifacts| artifacts.names().keep(&digest, path, bytes));
        let lines = Arc::new(Lines::new(std::mem::take(&mut sections.code), names));
        let Code { compiled, compiler, cached } = workshop.code(&digest, bytes, path)?;
        let engine = compiled.engine();
        let ty = compiled.component_type();
        let imports = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
        let types_only = ty.imports(engine).filter(|(_, item)| is_types(&item.ty, engine));
        let types_only = types_only.map(|(name, _)| name.to_owned()).collect();
        let opens_files = ty.imports(engine).any(|(name, item)| leads_to_files(name, &item.ty, engine));
        let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        Ok(Self {
            service,
            digest,
            size_bytes: bytes.len() as u64,
            compiled,
            imports,
            types_only,
            opens_files,
            exports,
            sections,
            cached,
            compiler,
            lines,
        })
    }

    /// By which exports requests come in.
    pub fn doors(&self) -> Doors {
        Doors::of(&self.exports)
    }

    /// Whether it is JavaScript whose engine was given to a tool as it is: requests come by its fetch event, and one
    /// instance takes one.
    pub fn is_fetch_event(&self) -> bool {
        let is_javascript = self.sections.language.as_deref().is_some_and(|told| told.starts_with("JavaScript"));
        is_javascript && self.doors() == Doors { standard: true, quick: false }
    }

    /// Whether the host can send requests to it, and events if it handles some.
    pub fn check_handler(&self, path: &Path) -> Result<(), ComponentError> {
        if let Some(interface) = known::strange_export(&self.compiled) {
            return Err(ComponentError::Outdated {
                path: path.to_owned(),
                has: "exports",
                interface: interface.to_owned(),
            });
        }
        if self.doors().are_some() {
            return Ok(());
        }
        let exports =
            if self.exports.is_empty() { "nothing".into() } else { format!("`{}`", self.exports.join("`, `")) };
        Err(ComponentError::NoHandler { path: path.to_owned(), exports })
    }

    /// Why it is not linked, where that is for an interface of ours that has another form here.
    pub fn outdated(&self, path: &Path, error: &wasmtime::Error) -> Option<ComponentError> {
        let told = format!("{error:#}");
        let is_told = |import: &&String| import.starts_with("archipel:") && told.contains(&format!("`{import}`"));
        let interface = self.imports.iter().find(is_told)?.clone();
        Some(ComponentError::Outdated { path: path.to_owned(), has: "imports", interface })
    }

    /// What it says itself that it needs; nothing where it says nothing.
    ///
    /// # Errors
    /// What cannot be read of it, a sentence each.
    pub fn needs(&self) -> Result<Permissions, Vec<String>> {
        self.sections.permissions.as_deref().map_or_else(|| Ok(Permissions::default()), Permissions::needs)
    }

    /// Whether events can be handed to it.
    pub fn is_consumer(&self) -> bool {
        self.exports.iter().any(|export| export == capability::messaging::CONSUMER)
    }

    /// What it imports beyond its grants, and what it does not export that they ask for: all of it, not
    /// the first only.
    pub fn missing(&self, grants: &Grants) -> Vec<Missing> {
        let missing = self.missing_of(grants);
        let Some(ceiling) = grants.ceiling() else { return missing };
        // What the ceiling takes, or would take, is not the manifest's to grant.
        let (written, most) = (self.missing_of(&grants.as_written()), self.missing_of(&grants.at_most()));
        let told = |missing: Missing| match missing {
            Missing::Grant { service, import, line, .. }
                if !written.iter().any(|one| one.is_of(&import)) || most.iter().any(|one| one.is_of(&import)) =>
            {
                Missing::Ceiling { service, import, line, ceiling: ceiling.file().to_owned() }
            }
            other => other,
        };
        missing.into_iter().map(told).collect()
    }

    /// The standard interfaces that it imports beyond its grants, by what would grant them. `env`: it sees
    /// some variable.
    pub fn ungranted(&self, grants: &Grants, env: bool) -> Vec<Ungranted> {
        let mut all: BTreeMap<Vec<Kind>, Vec<String>> = BTreeMap::new();
        let asked = self.imports.iter().filter(|import| !self.types_only.contains(*import));
        for import in asked.filter(|import| capability::is_standard(import)) {
            let Needed::SomeOf(kinds) = Needed::of(import) else { continue };
            let seen = env && kinds.iter().any(|kind| kind.key == "env");
            if !seen && !grants.left().have_some_of(&kinds) {
                all.entry(kinds).or_default().push(import.clone());
            }
        }
        all.into_iter().map(|(kinds, imports)| Ungranted { permission: grant::examples(&kinds), imports }).collect()
    }

    fn missing_of(&self, grants: &Grants) -> Vec<Missing> {
        let service = &self.service;
        let missing = |import: &String| match Needed::of(import) {
            Needed::Nothing => None,
            Needed::Unknown if self.types_only.contains(import) => None,
            Needed::Unknown => Some(Missing::Unknown { service: service.clone(), import: import.clone() }),
            Needed::SomeOf(kinds) if capability::is_standard(import) || grants.left().have_some_of(&kinds) => None,
            needed => Some(Missing::Grant {
                service: service.clone(),
                import: import.clone(),
                line: needed.permission(),
                manifest: grants.manifest().to_owned(),
            }),
        };
        let subscribes = grants.subscription().is_some() && !self.is_consumer();
        let unheard =
            subscribes.then(|| Missing::Consumer { service: service.clone(), manifest: grants.manifest().to_owned() });
        self.imports.iter().filter_map(missing).chain(unheard).collect()
    }
}

/// Whether there is nothing in an import but names for types.
fn is_types(item: &ComponentItem, engine: &wasmtime::Engine) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).all(|(_, item)| matches!(item.ty, ComponentItem::Type(_)))
        }
        ComponentItem::Type(_) => true,
        _ => false,
    }
}

/// Whether an import has a function that takes a folder and a path, or lists a folder. Components are made with those
/// only that something in them calls.
fn leads_to_files(name: &str, item: &ComponentItem, engine: &wasmtime::Engine) -> bool {
    let leads = |function: &str| function.ends_with("-at") || function.ends_with(".read-directory");
    let ComponentItem::ComponentInstance(instance) = item else { return false };
    name.starts_with("wasi:filesystem/") && instance.exports(engine).any(|(function, _)| leads(function))
}

/// Reads a component's file.
pub fn read(path: &Path, build: Option<&str>) -> Result<Vec<u8>, ComponentError> {
    let failed = |source| ComponentError::Read { path: path.to_owned(), build: build.map(str::to_owned), source };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > SIZE_MAX_BYTES {
        return Err(ComponentError::TooLarge { path: path.to_owned(), size });
    }
    fs::read(path).map_err(failed)
}

fn check(path: &Path, bytes: &[u8]) -> Result<Sections, ComponentError> {
    if wasmparser::Parser::is_core_wasm(bytes) {
        return Err(ComponentError::CoreModule { path: path.to_owned() });
    }
    if !bytes.starts_with(b"\0asm") {
        let begins = format!("it begins with `{}`, not with `\\0asm`", bytes[..bytes.len().min(4)].escape_ascii());
        return Err(ComponentError::NotAComponent { path: path.to_owned(), reason: begins });
    }
    let sections = Sections::read(bytes)
        .map_err(|error| ComponentError::NotAComponent { path: path.to_owned(), reason: error.to_string() })?;
    match sections.later.clone() {
        Some(name) => Err(ComponentError::Later { path: path.to_owned(), name }),
        None => Ok(sections),
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Linker;

    use super::*;
    use crate::engine::{self, Lookers};

    /// `(component (import "acme:robots/types@1.0.0" (instance (type u32) (export "arm" (type (eq 0))))))`
    const TYPES: &[u8] = b"\0asm\x0d\0\x01\0\x07\x0e\x01\x42\x02\x01\x79\x04\0\x03arm\x03\0\0\x0a\x1c\x01\0\x17acme:robots/types@1.0.0\x05\0";

    #[test]
    fn an_import_with_nothing_but_types_is_no_request_and_is_linked() {
        let Lookers { full: engine, .. } = Lookers::new(engine::ANY_MEMORY).unwrap();
        let workshop = Workshop { full: &engine, quick: None, artifacts: None, turn: None };
        let component = Component::from_bytes("it".into(), Path::new("it.wasm"), TYPES, &workshop).unwrap();
        let grants = Grants::new("it".into(), "a.toml".into(), grant::Permissions::default());
        assert_eq!(component.imports, ["acme:robots/types@1.0.0"]);
        assert_eq!((component.missing(&grants), component.ungranted(&grants, false)), (Vec::new(), Vec::new()));
        let nothing = Linker::<()>::new(&engine);
        assert!(nothing.instantiate_pre(&component.compiled).is_ok(), "nobody need offer it");
    }
}
