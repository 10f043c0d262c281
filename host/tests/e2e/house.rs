//! The house rules of ARCHITECTURE.md, read off the sources: who may import whom and what is named
//! where. `rooms` has circles and lengths, `versions` what must not come back, `pages` what is documented.

mod graph;
mod pages;
mod paths;
mod rooms;
mod source;
mod versions;
mod waiting;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The modules of `host`, each importing only those to its right.
const ORDER: &[&str] = &[
    "main",
    "cli",
    "serve",
    "admin",
    "system",
    "deploy",
    "consumers",
    "service",
    "component",
    "instance",
    "capability",
];
/// Anybody may import these; they import only each other.
const LEAVES: &[&str] = &["telemetry", "engine", "health", "openapi"];
/// The floors below the host. Which of them may know which other is cargo's to say.
const LOWER: &[&str] = &["crates/document", "crates/grant", "crates/manifest", "crates/backend"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn files_under(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_under(&path, extension)),
            false if path.extension().is_some_and(|found| found == extension) => files.push(path),
            false => {}
        }
    }
    files.sort();
    files
}

/// A source file without its tests and comments, named from its crate's `src`.
struct Code {
    name: String,
    text: String,
}

impl Code {
    fn of(krate: &str) -> Vec<Self> {
        let folder = root().join(krate).join("src");
        let name = |path: &Path| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        let all = files_under(&folder, "rs").into_iter().map(|path| (name(&path), fs::read_to_string(&path).unwrap()));
        rooms::own(all)
    }

    fn module(&self) -> &str {
        self.name.split('/').next().unwrap().trim_end_matches(".rs")
    }

    fn names(&self, word: &str) -> bool {
        self.text.match_indices(word).any(|(at, _)| {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let before = self.text[..at].chars().next_back();
            let after = self.text[at + word.len()..].chars().next();
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
    }

    /// The first segments of all its `crate::…` paths.
    fn imports(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (at, start) in self.text.match_indices("crate::") {
            let rest = &self.text[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(list) => found.extend(first_segments(list)),
                None => found.extend([word(rest)]),
            }
        }
        found
    }
}

/// All crates, from the repository's root.
fn crates() -> Vec<String> {
    let components = fs::read_dir(root().join("components")).unwrap().map(|entry| entry.unwrap().path());
    let mut components: Vec<_> = components
        .filter(|path| path.join("src").is_dir())
        .map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned())
        .collect();
    components.sort();
    LOWER.iter().chain(&["gateway", "host", "bench"]).map(|name| (*name).to_owned()).chain(components).collect()
}

fn word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// `a::{b, c}, d}` gives `a` and `d`.
fn first_segments(list: &str) -> Vec<String> {
    let mut depth = 1;
    let mut found = vec![word(list)];
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => found.push(word(&list[at + 1..])),
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn modules_of_the_host_import_only_to_their_right() {
    let place = |name: &str| ORDER.iter().position(|module| *module == name);
    let mut wrong = Vec::new();
    for file in Code::of("host") {
        let from = file.module().to_owned();
        assert!(place(&from).is_some() || LEAVES.contains(&&*from), "`{}` has no place in the house", file.name);
        for to in file.imports().into_iter().filter(|to| *to != from && !LEAVES.contains(&to.as_str())) {
            if place(&from).is_none_or(|from| place(&to).is_none_or(|to| to <= from)) {
                wrong.push(format!("{} imports {to}", file.name));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Which of the files name which of the words.
fn named(files: &[Code], words: &[&str]) -> Vec<String> {
    let pairs = files.iter().flat_map(|file| words.iter().map(move |word| (file, word)));
    pairs.filter(|(file, word)| file.names(word)).map(|(file, word)| format!("{}: {word}", file.name)).collect()
}

/// Files of `krate` in `modules` (all, if empty) that name one of `words`, but for `allowed`.
#[track_caller]
fn nobody_names(krate: &str, modules: &[&str], words: &[&str], allowed: &[&str]) {
    let files = Code::of(krate).into_iter().filter(|file| modules.is_empty() || modules.contains(&file.module()));
    let others = files.filter(|file| !allowed.iter().any(|prefix| file.name.starts_with(prefix)));
    let found = named(&others.collect::<Vec<_>>(), words);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_gateway_knows_no_webassembly_and_no_database() {
    nobody_names("gateway", &[], &["wasmtime", "wasmtime_wasi", "tokio_postgres", "host::serve"], &[]);
    let manifest = fs::read_to_string(root().join("gateway/Cargo.toml")).unwrap();
    for dependency in ["wasmtime", "postgres", "redis", "host"] {
        assert!(!manifest.lines().any(|line| line.starts_with(dependency)), "{dependency}");
    }
}

#[test]
fn a_backend_knows_no_guest_and_a_grant_does_nothing() {
    for krate in LOWER {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
        let above = |line: &str| line.starts_with("wasmtime") || line.starts_with("host.");
        assert!(!manifest.lines().any(above), "{krate}");
    }
    let io = ["async", "await", "tokio", "fs", "TcpStream", "UdpSocket", "ToSocketAddrs"];
    nobody_names("crates/grant", &[], &io, &[]);
}

#[test]
fn a_capability_opens_no_socket_and_reads_no_file() {
    nobody_names("host", &["capability"], &["fs", "File", "std::net", "tokio::net", "TcpStream", "UnixStream"], &[]);
}

#[test]
fn files_are_read_only_where_the_house_says() {
    nobody_names(
        "host",
        &[],
        &["fs", "File"],
        &["component", "cli/add/draft.rs", "cli/admin.rs", "cli/new", "cli/place.rs", "telemetry/process.rs"],
    );
    nobody_names(
        "crates/backend",
        &[],
        &["fs", "File"],
        &[
            "folder.rs",
            "migrate",
            "embedded",
            "identity/",
            "postgres/",
            "registry/docker.rs",
            "roots.rs",
            "secrets.rs",
            "upstream/secure.rs",
        ],
    );
    nobody_names("crates/document", &[], &["fs", "File"], &[]);
    nobody_names("gateway", &[], &["fs", "File"], &["tls.rs"]);
}

#[test]
fn one_file_is_unsafe_one_reads_the_environment_and_only_main_ends_the_process() {
    nobody_names("host", &[], &["unsafe"], &["component/artifact.rs"]);
    nobody_names("host", &[], &["env::var", "env::vars", "env::var_os", "env::vars_os"], &["cli/run.rs"]);
    for krate in LOWER.iter().chain(&["gateway"]) {
        nobody_names(krate, &[], &["unsafe", "env::var", "env::vars", "env::var_os", "env::vars_os"], &[]);
    }
    for krate in LOWER.iter().chain(&["host", "gateway"]) {
        nobody_names(krate, &[], &["process::exit", "process::abort", "static mut"], &[]);
        nobody_names(krate, &[], &["println!", "eprintln!", "print!", "eprint!"], &["main.rs", "cli"]);
    }
}

#[test]
fn only_the_gateways_table_makes_a_status_of_a_failure() {
    // A refused head never becomes a request; it has its own table, and so have the host's pages.
    let tables = ["error", "framing/fault.rs", "connection/"];
    nobody_names("gateway", &[], &["StatusCode::BAD_GATEWAY", "StatusCode::GATEWAY_TIMEOUT"], &tables);
    nobody_names("host", &[], &["StatusCode::BAD_GATEWAY", "StatusCode::GATEWAY_TIMEOUT"], &[]);
}

#[test]
fn every_source_file_opens_with_what_it_decides() {
    for krate in LOWER.iter().chain(&["gateway", "host", "bench"]) {
        for path in files_under(&root().join(krate).join("src"), "rs") {
            let is_test = path.components().any(|part| part.as_os_str() == "tests");
            let text = fs::read_to_string(&path).unwrap();
            assert!(is_test || text.starts_with("//!"), "{} has no header", path.display());
        }
    }
}
