//! A project of one's own: what is in a new one, what its tests get of a system, and what is left of it.

mod described;
mod edited;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use self::{
    described::a_project_describes_what_it_answers,
    edited::what_is_edited_is_live_and_a_mistake_is_shown_with_its_place,
};
use crate::harness::{Command, Done, archipel, components, exchange, place, write_manifest};

/// Behind a token, with a database that must not be the operator's.
const SYSTEM: &str = r#"
[gateway]
listen = "127.0.0.1:3000"
auth = "main"
[auth.main]
issuer = "archipel"
audience = "test"
keys = { generate = true }
[postgres.shop]
url = "postgres://nobody@127.0.0.1:1/an-operators"
[services.probe]
component = "COMPONENTS/probe_pg.wasm"
build = "echo built >> builds"
permissions = { postgres = { shop = "read-write" } }
[[routes]]
path = "/{*rest}"
service = "probe"
"#;

/// Asks for the name of the database, with a token of this system.
const ASK: &str = r#"
token=$("$ARCHIPEL" token sign "$ARCHIPEL_MANIFEST" --sub tester) || exit 90
curl -sS -o /dev/null -w '%{http_code}\n' "$ARCHIPEL_URL/pg/query"
curl -sS -H "Authorization: Bearer $token" -H 'content-type: application/json' \
  -d '{"database":"shop","sql":"select count(*) from pg_class where relname = '"'left_by_a_test'"'"}' "$ARCHIPEL_URL/pg/query"; echo
curl -sS -H "Authorization: Bearer $token" -H 'content-type: application/json' \
  -d '{"database":"shop","sql":"create table left_by_a_test (id int)"}' "$ARCHIPEL_URL/pg/query" > /dev/null
curl -sS -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $ARCHIPEL_ADMIN_TOKEN" "$ARCHIPEL_ADMIN/v1/status"
env | grep -c 'an-operators'
echo "$ARCHIPEL_DATA"
exit 7
"#;

fn test(manifest: &Path, command: &[&str]) -> Done {
    let arguments = [&["test", manifest.to_str().unwrap(), "--"], command].concat();
    Command::with(&arguments, &[("ARCHIPEL_LOG", "off")]).done()
}

#[test]
fn a_test_gets_a_fresh_system_of_its_own_and_nothing_of_it_is_left() {
    let folder = place();
    let manifest = write_manifest(folder.path(), SYSTEM);
    for round in 1..=2 {
        let done = test(&manifest, &["sh", "-c", ASK]);
        assert_eq!(done.code, 7, "the command's: {}{}", done.output, done.errors);
        let lines: Vec<&str> = done.output.lines().collect();
        assert_eq!(lines[0], "401", "routes want their token");
        assert!(lines[1].contains(r#""rows":[[{"int64":0}]]"#), "no test sees what another left: {}", lines[1]);
        assert_eq!(lines[2..4], ["200", "0"], "the admin API; and no address of a database");
        assert!(!Path::new(lines[4]).exists() && !Path::new(lines[4]).parent().unwrap().exists(), "{}", lines[4]);
        let builds = fs::read_to_string(folder.path().join("builds")).unwrap();
        assert_eq!(builds.lines().count(), round, "what is tested is built first");
    }
    let kept = fs::read_dir(folder.path().join(".archipel")).unwrap();
    let mut kept: Vec<_> = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    kept.sort();
    assert_eq!(kept, ["artifacts", "postgres-pattern"], "compiled components, and a database cluster as it is made");
}

#[test]
fn a_test_that_cannot_begin_says_why() {
    let folder = place();
    let manifest = write_manifest(folder.path(), &crate::harness::probe(""));
    let refused = |arguments: &[&str]| Command::new(&[&["test"], arguments].concat()).refused();
    let file = manifest.to_str().unwrap();
    assert!(refused(&[file]).contains("say what tests it: `archipel test -- COMMAND`"));
    assert!(refused(&[file, "--", "no-such-program"]).contains("cannot run `no-such-program`"));
    assert!(refused(&[folder.path().to_str().unwrap(), "--", "true"]).contains("archipel.toml"));
    let broken = crate::harness::probe("build = \"echo expected a semicolon; exit 1\"");
    let said = refused(&[write_manifest(folder.path(), &broken).to_str().unwrap(), "--", "true"]);
    assert!(said.contains("expected a semicolon") && said.contains("the build of service `probe` failed"), "{said}");
}

const PARTS: [&str; 2] = ["--with", "postgres,keyvalue,events"];

/// `archipel new NAME` in `folder`; the new folder.
#[track_caller]
fn new(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let made = archipel().arg("new").arg(name).args(arguments).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder.join(name)
}

/// `archipel test` in `project`, without a network; what it said.
#[track_caller]
fn tested(project: &Path) -> String {
    let mut command = archipel();
    command.arg("test").current_dir(project).env("CARGO_NET_OFFLINE", "true").env("npm_config_offline", "true");
    if let Ok(toolchain) = std::env::var("WASM_TOOLCHAIN") {
        command.env("RUSTUP_TOOLCHAIN", toolchain); // as scripts/wasm.sh chooses it
    }
    let done = command.stdin(Stdio::null()).output().unwrap();
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(done.status.success(), "{said}");
    said
}

#[test]
fn a_new_project_in_rust_builds_and_passes_its_tests_offline() {
    let place = place();
    let project = new(place.path(), "my-notes", &PARTS);
    // What it is built of has been built for the shop.
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/target"), project.join("target")).unwrap();
    let said = tested(&project);
    let unit = ["everybody_is_greeted", "a_note_is_kept_and_given_back", "each_visit_counts_one"];
    let whole = ["it_greets", "a_note_is_kept", "visits_are_counted", "an_event_is_published"];
    for test in unit.iter().chain(&whole) {
        assert!(said.contains(&format!("{test} ... ok")), "{test}: {said}");
    }
    assert!(!said.contains("warning"), "{said}");
    a_project_describes_what_it_answers(&project);
}

/// What `npm ci` would leave in `project`, of what is installed already.
pub fn installed(project: &Path) {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/foreign/node/node_modules");
    let installed = installed.canonicalize().expect("run `just foreign` first");
    let modules = project.join("node_modules");
    fs::create_dir_all(modules.join(".bin")).unwrap();
    for folder in ["", ".bin"] {
        for entry in fs::read_dir(installed.join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            if name != "archipel" && name != ".bin" {
                symlink(installed.join(folder).join(&name), modules.join(folder).join(&name)).unwrap();
            }
        }
    }
    symlink("../vendor/archipel", modules.join("archipel")).unwrap();
    for tool in ["build", "test"] {
        let (program, own) = (modules.join(format!(".bin/archipel-{tool}")), format!("vendor/archipel/bin/{tool}.mjs"));
        fs::write(&program, format!("#!/bin/sh\nexec node {} \"$@\"\n", project.join(own).display())).unwrap();
        std::process::Command::new("chmod").arg("+x").arg(program).status().unwrap();
    }
}

#[test]
fn a_new_project_in_typescript_builds_and_passes_its_tests_offline() {
    let place = place();
    let project = new(place.path(), "my-notes", &[&["--lang", "ts"], &PARTS[..]].concat());
    installed(&project);
    let said = tested(&project);
    let unit = ["everybody is greeted", "a note is kept and given back", "each visit counts one"];
    let whole = ["it greets", "a note is kept", "visits are counted", "an event is published"];
    for test in unit.iter().chain(&whole) {
        assert!(said.contains(test), "{test}: {said}");
    }
    assert!(said.contains("# fail 0") && said.contains("# skipped 0"), "{said}");
    the_page_is_true_of(&project);
    a_project_describes_what_it_answers(&project);
    what_is_edited_is_live_and_a_mistake_is_shown_with_its_place(&project);
}

#[test]
fn a_lock_file_says_what_npm_would_write() {
    let place = place();
    let project = new(place.path(), "my-notes", &["--lang", "ts"]);
    let npm = |arguments: &[&str]| {
        let mut npm = std::process::Command::new("npm");
        npm.args(arguments).args(["--offline", "--no-audit", "--no-fund"]).current_dir(&project).output().unwrap()
    };
    let checked = npm(&["ci", "--dry-run", "--ignore-scripts"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_project_is_made_only_where_nothing_is_and_by_a_name_that_tools_take() {
    let place = place();
    let refused = |name: &str, arguments: &[&str]| {
        let made = archipel().arg("new").arg(name).args(arguments).current_dir(place.path()).output().unwrap();
        assert_eq!(made.status.code(), Some(1));
        String::from_utf8(made.stderr).unwrap()
    };
    fs::create_dir(place.path().join("full")).unwrap();
    fs::write(place.path().join("full/precious"), "kept").unwrap();
    assert!(refused("full", &[]).contains("`full` holds something already"));
    assert_eq!(fs::read_dir(place.path().join("full")).unwrap().count(), 1);
    assert!(refused("../up", &[]).contains("`../up` is no name for a service"));
    assert!(refused("test", &[]).contains("take another name, `test-service`"));
    assert!(refused("snake", &["--lang", "python"]).contains("no template for Python yet"));
    assert!(refused("gopher", &["--lang", "go"]).contains("no template for Go yet"));
    assert!(!place.path().join("snake").exists() && !place.path().join("../up").exists());
    fs::create_dir(place.path().join("empty")).unwrap();
    let project = new(place.path(), "empty", &[]);
    let text = |file: &str| fs::read_to_string(project.join(file)).unwrap();
    assert!(text("archipel.toml").starts_with("#:schema ./archipel.schema.json"));
    assert!(text("archipel.schema.json").contains("\"$schema\""));
    assert!(text(".github/workflows/ci.yml").contains("archipel test") && text(".gitignore").contains("target/"));
}

#[test]
fn shells_and_man_know_the_commands() {
    let said = |arguments: &[&str]| Command::new(arguments).done().output;
    for shell in ["bash", "zsh", "fish"] {
        assert!(said(&["completions", shell]).contains("healthcheck"), "{shell}");
    }
    let man = said(&["man"]);
    assert!(man.contains(".TH archipel") && man.contains("healthcheck"), "{man}");
}

/// What of a text is different each time has one form: moments and traces.
fn normal(text: &str) -> String {
    let keys = ["\"madeAt\":\"", "\"timestamp\":\"", "\"traceId\":\""];
    keys.iter().fold(text.trim().to_owned(), |text, key| {
        let mut pieces = text.split(key);
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |done, piece| format!("{done}{key}{}", piece.split_once('"').map_or("", |(_, rest)| rest)))
    })
}

/// What docs/start.md shows is what `project`, which is made of the same template, answers and holds.
#[track_caller]
fn the_page_is_true_of(project: &Path) {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/start.md")).unwrap();
    let block = page.split("```console\n").find(|block| block.starts_with("$ curl")).unwrap();
    let lines: Vec<&str> = block.split("```").next().unwrap().lines().collect();
    let (asked, shown): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.starts_with("$ "));
    let script = asked.iter().map(|line| line[2..].replace("http://127.0.0.1:3000", "$ARCHIPEL_URL") + "; echo\n");
    let manifest = project.join("archipel.toml");
    let done = Command::new(&[
        "test",
        "--no-build",
        manifest.to_str().unwrap(),
        "--",
        "sh",
        "-c",
        &script.collect::<String>(),
    ]);
    let done = done.done();
    assert_eq!(done.code, 0, "{}", done.errors);
    let answers: Vec<String> = done.output.lines().map(normal).collect();
    assert_eq!(answers, shown.iter().map(|line| normal(line)).collect::<Vec<_>>());
    let code = page.split("```ts\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(code, fs::read_to_string(project.join("src/notes.ts")).unwrap());
}

/// `archipel dev` at work, and what it says.
struct Dev {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Dev {
    fn run(folder: &Path) -> Self {
        let mut child = archipel().arg("dev").current_dir(folder).spawn().unwrap();
        let (tell, lines) = mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let tell = tell.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // The test may have ended.
                    let _ = tell.send(line);
                }
            });
        }
        Self { child, lines }
    }

    /// The next line that has `text` in it.
    #[track_caller]
    fn says(&self, text: &str) -> String {
        let mut before = String::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => before += &format!("{line}\n"),
                Err(_) => panic!("no `{text}` after:\n{before}"),
            }
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = std::process::Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

#[test]
fn dev_shows_what_is_asked_denied_built_and_live() {
    let folder = place();
    let manifest = crate::harness::probe("build = \"echo built >> builds; cp source dist/probe.wasm\"");
    let manifest = manifest.replace("COMPONENTS/probe.wasm", "dist/probe.wasm");
    fs::rename(write_manifest(folder.path(), &manifest), folder.path().join("archipel.toml")).unwrap();
    fs::create_dir(folder.path().join("dist")).unwrap();
    let source = folder.path().join("source");
    fs::copy(components().join("probe_net.wasm"), &source).unwrap();
    let dev = Dev::run(folder.path());
    dev.says("probe: echo built");
    let gateway = dev.says("gateway  http://");
    let address = gateway.trim().rsplit('/').next().unwrap().parse().unwrap();
    let asked = exchange(address, "GET", "/fetch?url=http%3A%2F%2F198.51.100.7%3A81%2F", &[], b"");
    dev.says("denied: `probe` may not reach");
    dev.says("  or: archipel add permission probe 'net = [\"198.51.100.7:81\"]'");
    dev.says(&format!("GET /fetch -> {} by probe in ", asked.status));

    fs::copy(components().join("hello.wasm"), &source).unwrap();
    dev.says("probe: echo built");
    dev.says(" is live after ");
    let builds = fs::read_to_string(folder.path().join("builds")).unwrap().lines().count();
    assert!((2..=3).contains(&builds), "what a build writes to `dist` starts none: {builds}");
}

/// What stands in for the host in unit tests keeps what it promises; that of Rust has its tests in the sdk itself.
#[test]
fn unit_tests_in_typescript_find_a_host_that_answers_what_they_say() {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/foreign/node");
    let run = std::process::Command::new("node").arg("bin/test.mjs").current_dir(&sdk).output();
    let done = run.expect("run `just foreign` first");
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(done.status.success() && said.contains("# pass 15") && said.contains("# fail 0"), "{said}");
}
