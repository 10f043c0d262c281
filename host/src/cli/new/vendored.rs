//! The sdk that a new project gets a copy of: there is no release of it that a project could name. It lies as it
//! does here, so that its own paths are right.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::template::{Language, texts};

static WIT: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../wit");
static RUST: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../components/sdk/src");
static TYPESCRIPT: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../sdk/typescript/src");
static BUILD: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../sdk/typescript/bin");

static DERIVE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../components/sdk-derive/src");

const RUST_MANIFEST: &str = include_str!("../../../../components/sdk/Cargo.toml");
const RUST_README: &str = include_str!("../../../../components/sdk/README.md");
const DERIVE_MANIFEST: &str = include_str!("../../../../components/sdk-derive/Cargo.toml");
/// Versions and lints, for all that is in it here.
const RUST_WORKSPACE: &str = include_str!("../../../../components/Cargo.toml");
const RUST_LOCK: &str = include_str!("../../../../components/Cargo.lock");
const PACKAGE: &str = include_str!("../../../../sdk/typescript/package.json");
const TYPES: &str = include_str!("../../../../sdk/typescript/tsconfig.json");
const LICENSE: &str = include_str!("../../../../LICENSE");

/// Each with its path in the project.
pub(super) fn files(language: Language) -> Vec<(PathBuf, String)> {
    let own = |path: &str| Path::new("vendor/archipel").join(path);
    let all = |folder, path: &str| {
        let files = texts(folder).into_iter();
        files.map(|(file, text)| (own(path).join(file), text.to_owned())).collect::<Vec<_>>()
    };
    let mut files = vec![(own("LICENSE"), LICENSE.to_owned())];
    match language {
        Language::Rust => {
            files.extend(all(&WIT, "components/sdk/wit"));
            files.extend(all(&RUST, "components/sdk/src"));
            files.push((own("components/sdk/Cargo.toml"), RUST_MANIFEST.to_owned()));
            files.push((own("components/sdk/README.md"), RUST_README.to_owned()));
            files.extend(all(&DERIVE, "components/sdk-derive/src"));
            files.push((own("components/sdk-derive/Cargo.toml"), DERIVE_MANIFEST.to_owned()));
            files.push((own("components/Cargo.toml"), workspace()));
            // What is not needed of it goes with the first build.
            files.push(("Cargo.lock".into(), RUST_LOCK.to_owned()));
        }
        Language::TypeScript => {
            files.extend(all(&WIT, "wit"));
            files.extend(all(&TYPESCRIPT, "src"));
            files.extend(all(&BUILD, "bin"));
            files.push((own("package.json"), package()));
            files.push(("tsconfig.json".into(), TYPES.to_owned()));
        }
    }
    files
}

/// Without what only the sdk's own tests want.
fn package() -> String {
    let mut package: serde_json::Value = serde_json::from_str(PACKAGE).unwrap_or_default();
    package.as_object_mut().map(|package| package.remove("devDependencies"));
    format!("{package:#}\n")
}

/// That of the components, with nothing but the sdk in it.
fn workspace() -> String {
    let line = |line: &str| match line.starts_with("members = ") {
        true => "members = [\"sdk\", \"sdk-derive\"]\n".to_owned(),
        false => format!("{line}\n"),
    };
    RUST_WORKSPACE.lines().map(line).collect()
}
