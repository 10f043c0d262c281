//! The sdk from outside of this repository: named by a path, by a git repository, and as the package that a registry would
//! have. No network is used: what it needs has been fetched for the components.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::place;

const SOURCE: &str = r#"
use sdk::{Answer, FromJson, Listing, Reply, Request, Response, Routes, Start, postgres::FromRow};

sdk::handler!(answer);

#[derive(serde::Serialize, FromRow)]
struct Note { id: i64, text: String }

#[derive(FromJson)]
struct NewNote { #[json(length = 1..=10)] text: String }

fn answer(request: Request) -> Response {
    Routes::new().at("/notes/{id}", |path| path.get(read).put(write)).answer(request)
}

fn read(_request: &mut Request, id: i64) -> Answer {
    let note = Note { id, text: "tea".to_owned() };
    Reply::ok(&Listing::of(vec![note], 10, Start::Offset(0), |note| note.id))
}

fn write(request: &mut Request, id: i64) -> Answer {
    let NewNote { text } = request.json()?;
    Reply::ok(&Note { id, text })
}
"#;

/// A crate in `folder` that finds the sdk where `dependency` says. Its profile is that of the components, so that what
/// they are built of is not built again.
fn service(folder: &Path, dependency: &str) {
    let manifest = format!(
        "[package]\nname = \"notes\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\narchipel-sdk = {{ {dependency} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
         [profile.release]\nstrip = false\ndebug = \"line-tables-only\"\nlto = true\npanic = \"abort\"\ncodegen-units = 1\n"
    );
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/lib.rs"), SOURCE).unwrap();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// What `program` says on standard output, when it must have succeeded.
#[track_caller]
fn said(mut program: Command) -> String {
    if let Ok(toolchain) = std::env::var("WASM_TOOLCHAIN") {
        program.env("RUSTUP_TOOLCHAIN", toolchain); // as scripts/wasm.sh chooses it
    }
    let done = program.output().unwrap_or_else(|error| panic!("{program:?}: {error}"));
    assert!(done.status.success(), "{program:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    // What surrounds this test is another workspace's.
    cargo.args(arguments).current_dir(folder).env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    cargo
}

#[track_caller]
fn builds(folder: &Path, more: &[&str], home: Option<&Path>) {
    let target = root().join("components/target");
    let own = ["build", "--release", "--target", "wasm32-wasip2", "--target-dir", target.to_str().unwrap()];
    let mut build = cargo(folder, &[&own, more].concat());
    home.map(|home| build.env("CARGO_HOME", home));
    said(build);
}

/// A repository with what of this one a dependency needs, as it is now; and its commit.
fn repository(folder: &Path) -> String {
    let copied = "tar -C \"$1\" --exclude=components/target -cf - components wit LICENSE | tar -C \"$2\" -xf -";
    let mut copy = Command::new("sh");
    copy.args(["-c", copied, "sh", root().to_str().unwrap(), folder.to_str().unwrap()]);
    said(copy);
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"];
        git.args(who).args(arguments).current_dir(folder);
        said(git)
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "The sdk"]);
    git(&["rev-parse", "HEAD"]).trim().to_owned()
}

/// Cargo's own folder, in which what is fetched by git is this test's.
fn cargo_home(folder: &Path) -> PathBuf {
    let home = folder.join("cargo");
    fs::create_dir(&home).unwrap();
    let usual = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = usual.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").expect("a home")).join(".cargo"));
    for entry in fs::read_dir(usual).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != "git") {
        symlink(entry.path(), home.join(entry.file_name())).unwrap();
    }
    home
}

#[test]
fn the_sdk_is_a_dependency_by_path_and_by_git() {
    let place = place();
    let by_path = place.path().join("by-path");
    service(&by_path, &format!("path = {:?}", root().join("components/sdk")));
    fs::copy(root().join("components/Cargo.lock"), by_path.join("Cargo.lock")).unwrap();
    builds(&by_path, &["--offline"], None);

    let repository_at = place.path().join("repository");
    fs::create_dir(&repository_at).unwrap();
    let commit = repository(&repository_at);
    let url = format!("file://{}", repository_at.display());
    let by_git = place.path().join("by-git");
    service(&by_git, &format!("git = {url:?}"));
    // Locked to the same versions and this commit: only the repository is asked.
    let lock = fs::read_to_string(by_path.join("Cargo.lock")).unwrap();
    let own = |name: &str| format!("name = \"{name}\"\nversion = \"0.1.0\"\n");
    let locked = ["archipel-sdk", "archipel-sdk-derive"].iter().fold(lock, |lock, name| {
        assert!(lock.contains(&own(name)), "{lock}");
        lock.replace(&own(name), &format!("{}source = \"git+{url}#{commit}\"\n", own(name)))
    });
    fs::write(by_git.join("Cargo.lock"), locked).unwrap();
    builds(&by_git, &["--locked"], Some(&cargo_home(place.path())));
    let built = root().join("components/target/wasm32-wasip2/release/notes.wasm");
    let report = crate::harness::Command::new(&["inspect", built.to_str().unwrap()]).done();
    assert!(report.code == 0 && report.output.contains("archipel:http/handler"), "{}{}", report.output, report.errors);
    fs::remove_file(built).unwrap(); // it is nobody's there
}

#[test]
fn the_sdk_could_be_published() {
    let listed = |package: &str| {
        let arguments = ["package", "--list", "--allow-dirty", "--offline", "--package", package];
        said(cargo(&root().join("components"), &arguments)).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let files = listed("archipel-sdk");
    for file in ["README.md", "src/lib.rs", "wit/world.wit", "wit/deps/archipel-postgres/postgres.wit"] {
        assert!(files.iter().any(|own| own == file), "no {file} in {files:?}");
    }
    assert!(listed("archipel-sdk-derive").iter().any(|own| own == "src/lib.rs"));
    let told = cargo(&root().join("components"), &["metadata", "--no-deps", "--format-version=1", "--offline"]);
    let told: serde_json::Value = serde_json::from_str(&said(told)).unwrap();
    for package in told["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let is_ours_to_give = name.starts_with("archipel-sdk");
        assert_eq!(package["publish"].is_null(), is_ours_to_give, "{name}");
        if is_ours_to_give {
            assert!(package["license"] == "Apache-2.0" && package["description"].is_string(), "{package}");
            for needed in package["dependencies"].as_array().unwrap() {
                assert_ne!(needed["req"], "*", "{name} names no version of {}", needed["name"]);
            }
        }
    }
}
