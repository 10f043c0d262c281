//! The house rules of ARCHITECTURE.md, read off the sources: who may import whom, what is named
//! where, and which versions must not come back.

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
        let ours = all.filter(|(name, _)| !name.contains("tests"));
        ours.map(|(name, text)| Self { name, text: code(&text) }).collect()
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

fn code(text: &str) -> String {
    let own = text.split("#[cfg(test)]").next().unwrap_or_default();
    own.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
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

/// Files of `krate` in `modules` (all, if empty) that name one of `words`, but for `allowed`.
#[track_caller]
fn nobody_names(krate: &str, modules: &[&str], words: &[&str], allowed: &[&str]) {
    let files = Code::of(krate).into_iter().filter(|file| modules.is_empty() || modules.contains(&file.module()));
    let others = files.filter(|file| !allowed.iter().any(|prefix| file.name.starts_with(prefix)));
    let found: Vec<String> = others
        .flat_map(|file| {
            words
                .iter()
                .filter(|word| file.names(word))
                .map(|word| format!("{}: {word}", file.name))
                .collect::<Vec<_>>()
        })
        .collect();
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
    nobody_names("host", &[], &["fs", "File"], &["component", "cli/admin.rs", "telemetry/process.rs"]);
    nobody_names(
        "crates/backend",
        &[],
        &["fs", "File"],
        &["folder.rs", "migrate", "embedded", "identity/", "postgres/", "secrets.rs"],
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

fn lock_files() -> [String; 2] {
    ["Cargo.lock", "components/Cargo.lock"].map(|file| fs::read_to_string(root().join(file)).unwrap())
}

fn versions(lock: &str, name: &str) -> Vec<[u64; 3]> {
    let parse = |version: &str| {
        let mut parts = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
        [(); 3].map(|()| parts.next().unwrap_or(0))
    };
    let packages = lock.split("[[package]]").filter(|package| package.contains(&format!("name = \"{name}\"\n")));
    let version = |package: &str| package.split("version = \"").nth(1).map(|rest| rest.split('"').next().map(parse));
    packages.filter_map(|package| version(package).flatten()).collect()
}

#[test]
fn no_version_with_a_known_hole_comes_back() {
    const FLOORS: &[(&str, [u64; 3])] = &[
        ("h2", [0, 4, 16]),
        ("hyper", [1, 9, 0]),
        ("tokio-postgres", [0, 7, 18]),
        ("postgres-protocol", [0, 6, 12]),
        ("rustls", [0, 23, 46]),
        ("rustls-webpki", [0, 103, 13]),
        ("bytes", [1, 11, 1]),
        ("tracing-subscriber", [0, 3, 20]),
        ("hickory-resolver", [0, 26, 1]),
        ("wasmtime", [48, 0, 8]),
        ("wasmtime-wasi", [48, 0, 8]),
        ("wasmtime-wasi-http", [48, 0, 8]),
    ];
    for lock in lock_files() {
        for (name, floor) in FLOORS {
            for found in versions(&lock, name) {
                assert!(found >= *floor, "{name} {found:?} is below {floor:?}");
            }
        }
    }
    assert!(!versions(&lock_files()[0], "wasmtime").is_empty(), "versions are found at all");
}

#[test]
fn there_is_no_second_way_out_of_a_component() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let line = manifest.lines().find(|line| line.starts_with("wasmtime-wasi-http =")).unwrap();
    assert!(line.contains("default-features = false") && !line.contains("default-send-request"), "{line}");
}

#[test]
fn one_tls_stack_and_nothing_banned() {
    for lock in lock_files() {
        for banned in ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "rsa", "reqwest"] {
            assert_eq!(versions(&lock, banned), Vec::<[u64; 3]>::new(), "{banned}");
        }
    }
}

/// Commands that the documentation shows, and who runs each: a reader types what works.
const SHOWN: &[(&str, &str)] = &[
    ("./justw demo", "`just test` runs its script; so does anybody who starts here"),
    ("./justw test", "CI"),
    ("just component hello", "the bench recipe and `just build`"),
    ("just component users", "`just build`"),
    ("just run manifests/hello.toml", "cli: the manifest is checked; serving: `run`"),
    ("curl -i http://127.0.0.1:3000/", "serving: the same request"),
    ("archipel inspect components/target/wasm32-wasip2/release/users.wasm", "cli"),
    ("archipel swap users components/target/wasm32-wasip2/release/users.wasm", "swap"),
    ("archipel rollback users", "swap"),
    ("archipel versions users", "swap"),
    ("archipel status", "swap"),
    ("archipel events dead", "events"),
    ("archipel events dead notifications", "events, of another service"),
    ("archipel events replay notifications --all", "events, of another service"),
    ("archipel apply manifests/shop.toml", "apply: the same command"),
    ("archipel swap users users.wasm --accept-permissions", "accept: the same command"),
    ("archipel swap users users.wasm --ramp --wait", "ramp: the same command"),
    ("archipel run manifests/shop.toml --watch", "watch: the same command"),
    ("archipel check manifests/shop.toml", "cli"),
    ("archipel run manifests/shop.toml", "the demo's script"),
    ("archipel check manifests/shop.toml --ceiling /etc/archipel/ceiling.toml", "ceiling: the same command"),
    ("archipel run manifests/shop.toml --ceiling /etc/archipel/ceiling.toml", "ceiling: the same command"),
    ("archipel healthcheck --wait 60 http://127.0.0.1:3000/health/ready", "cli; the demo's script"),
];

#[test]
fn every_command_in_the_documentation_is_one_that_is_run_somewhere() {
    let mut shown = BTreeSet::new();
    let pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name));
    for page in pages.into_iter().chain(files_under(&root().join("docs"), "md")) {
        let text = fs::read_to_string(page).unwrap();
        let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
        let lines = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
        shown.extend(lines.map(str::to_owned));
    }
    let known: BTreeSet<String> = SHOWN.iter().map(|(command, _)| (*command).to_owned()).collect();
    assert_eq!(shown, known);
}

#[test]
fn every_recipe_and_file_in_the_documentation_exists() {
    let justfile = fs::read_to_string(root().join("justfile")).unwrap();
    for page in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/components.md", "docs/operations.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for quoted in text.split('`').skip(1).step_by(2).filter(|quoted| !quoted.contains('\n')) {
            if let Some(recipe) = quoted.strip_prefix("./justw ").or_else(|| quoted.strip_prefix("just ")) {
                let name = recipe.split(' ').next().unwrap();
                let is_there = justfile.lines().any(|line| line.split([' ', ':']).next() == Some(name));
                assert!(is_there || name == "RECIPE", "{page}: no recipe `{name}`");
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(
                link.starts_with("http") || root().join(page).with_file_name("").join(link).exists(),
                "{page}: {link}"
            );
        }
    }
}
