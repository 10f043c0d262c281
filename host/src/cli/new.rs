//! `archipel new`: a folder with a service of one's own, outside of this repository, that builds, runs and is tested.
//!
//! Decides what may be made and where: never in a folder that holds something. What is in it: `template` and
//! `vendored`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::bail;
use clap::ValueEnum;

use self::{
    folder::Folder,
    template::{Choice, Language, Part},
};
use super::output::Output;

mod engine;
mod folder;
mod lock;
mod template;
mod vendored;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Of the service and of its folder: lower-case letters, digits and `-`.
    name: String,
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,
    /// What it begins with: a database, a store, events.
    #[arg(long, value_enum, value_delimiter = ',')]
    with: Vec<With>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Lang {
    Rust,
    Ts,
    Python,
    Go,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum With {
    Postgres,
    Keyvalue,
    Events,
}

/// Of a name, in bytes.
const NAME_MAX: usize = 40;
/// What Rust, npm or our own package are called.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "archipel",
    "archipel-sdk",
    "archipel-sdk-derive",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "sdk",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "vendor",
    "virtual",
    "where",
    "while",
    "yield",
    "node-modules",
    "favicon-ico",
    "serde",
];

pub(super) fn new(arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let name = &arguments.name;
    named(name)?;
    let language = language(arguments.lang)?;
    let parts = arguments.with.iter().map(|with| match with {
        With::Postgres => Part::Postgres,
        With::Keyvalue => Part::KeyValue,
        With::Events => Part::Events,
    });
    let engine = engine_of(language);
    let choice =
        Choice { name: name.clone(), language, parts: parts.collect(), is_added: false, is_quick: engine.is_some() };
    let folder = filled(&choice, engine.as_deref(), PathBuf::from(name))?;
    folder.write("archipel.schema.json", serde_json::to_string_pretty(&*manifest::Manifest::schema())? + "\n")?;
    match output.json {
        true => output.document(&serde_json::json!({ "folder": name, "manifest": format!("{name}/archipel.toml") }))?,
        false => output.text(&format!("{name} is made. Next:\n\n  cd {name}\n  archipel dev\n{}", slower(&choice)))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// How a service beside others is built, for the manifest.
pub(super) struct Built {
    pub(super) component: String,
    pub(super) build: String,
    /// In TOML.
    pub(super) limits: &'static str,
}

/// What the manifest says of a service that [`beside`] makes.
///
/// # Errors
/// When it cannot have this name, or there is no template for the language.
pub(super) fn built(name: &str, lang: Lang) -> anyhow::Result<Built> {
    named(name)?;
    let file = name.replace('-', "_");
    Ok(match language(lang)? {
        Language::Rust => Built {
            component: format!("{name}/target/wasm32-wasip2/release/{file}.wasm"),
            build: format!("cargo build --release --target wasm32-wasip2 --manifest-path {name}/Cargo.toml"),
            limits: r#"{ reuse = { requests = 128, idle = "10s" } }"#,
        },
        Language::TypeScript => Built {
            component: format!("{name}/dist/{name}.wasm"),
            build: format!("npm run --silent --prefix {name} build"),
            limits: r#"{ memory = "128MiB", reuse = { requests = 128, idle = "10s" } }"#,
        },
    })
}

/// Makes the folder of another service of a project.
///
/// # Errors
/// When there is something in it already, or it cannot be written.
pub(super) fn beside(name: &str, lang: Lang, folder: &Path) -> anyhow::Result<()> {
    let language = language(lang)?;
    let engine = engine_of(language);
    let (name_of, parts, is_quick) = (name.to_owned(), BTreeSet::new(), engine.is_some());
    let choice = Choice { name: name_of, language, parts, is_added: true, is_quick };
    filled(&choice, engine.as_deref(), folder.join(name)).map(drop)
}

/// Services in TypeScript are made with the quick engine where it lies beside the host, else with StarlingMonkey, which
/// npm has.
fn engine_of(language: Language) -> Option<Vec<u8>> {
    (language == Language::TypeScript).then(engine::quick).flatten()
}

/// What whoever could have the quick engine is told.
fn slower(choice: &Choice) -> &'static str {
    match choice.language == Language::TypeScript && !choice.is_quick {
        true => {
            "\nIt is for StarlingMonkey, whose builds take half a minute: `quick.wasm` does not lie beside this program. \
             With it they take seconds; docs/typescript.md says where it is.\n"
        }
        false => "",
    }
}

fn filled(choice: &Choice, engine: Option<&[u8]>, path: PathBuf) -> anyhow::Result<Folder> {
    let folder = Folder::fresh(path)?;
    for (path, text) in template::files(choice).into_iter().chain(vendored::files(choice.language)) {
        folder.write(&path, text)?;
    }
    if let Some(engine) = engine {
        folder.write("vendor/archipel/quick.wasm", engine)?;
    }
    if choice.language == Language::TypeScript {
        folder.write("package-lock.json", lock::of(&choice.name)?)?;
    }
    Ok(folder)
}

fn named(name: &str) -> anyhow::Result<()> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let is_word = begins && name.chars().all(letters) && !name.ends_with('-') && !name.contains("--");
    if !is_word || name.len() > NAME_MAX {
        bail!(
            "`{name}` is no name for a service: take up to {NAME_MAX} lower-case letters, digits and `-`, a letter first"
        );
    }
    if TAKEN.contains(&name) {
        bail!("`{name}` means something else to the tools; take another name, `{name}-service`");
    }
    Ok(())
}

fn language(lang: Lang) -> anyhow::Result<Language> {
    match lang {
        Lang::Rust => Ok(Language::Rust),
        Lang::Ts => Ok(Language::TypeScript),
        Lang::Python => bail!(
            "there is no template for Python yet; a component that componentize-py makes runs as it is: docs/components.md shows how"
        ),
        Lang::Go => bail!(
            "there is no template for Go yet; a component that wit-bindgen-go and `go build` make for wasi:http runs as it is"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_every_tool_takes() {
        for good in ["notes", "my-service", "a", "v2"] {
            assert!(named(good).is_ok(), "{good}");
        }
        let long = "x".repeat(41);
        for bad in ["", "Notes", "2v", "-a", "a-", "a--b", "a_b", "a/b", "..", "a b", "é", "test", "sdk", "fn", &*long]
        {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
