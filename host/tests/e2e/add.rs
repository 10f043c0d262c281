//! `archipel add`: what is written into a manifest, what is refused, and that the rest stays as it was.

use std::{fs, os::unix::fs::symlink, path::Path, process::Stdio};

use crate::{
    harness::{Command, archipel, place},
    project::installed,
};

const MANIFEST: &str = r#"#:schema ./archipel.schema.json
name = "shop"   # ours

[gateway]
listen = "127.0.0.1:0"

[services.a] # the first
component = "a.wasm"

  [services.a.permissions]
  net = [
    "api.example.com:443", # rates
  ]

# Everything else.
[[routes]]
path = "/{*rest}"
service = "a"
public = true
"#;

/// A project of one service in a folder of its own; and `archipel add …` in it.
struct Project(tempfile::TempDir);

impl Project {
    fn new(manifest: &str) -> Self {
        let folder = place();
        fs::write(folder.path().join("archipel.toml"), manifest).unwrap();
        Self(folder)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.0.path().join("archipel.toml")).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let file = self.0.path().join("archipel.toml");
        Command::new(&[&["add"], arguments, &["--manifest", file.to_str().unwrap()]].concat())
    }

    #[track_caller]
    fn added(&self, arguments: &[&str]) -> String {
        let done = self.command(arguments).done();
        assert_eq!(done.code, 0, "{}", done.errors);
        let told: serde_json::Value = serde_json::from_str(&done.output).unwrap();
        told["added"].as_str().unwrap().to_owned()
    }

    /// Nothing is written then.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let before = self.text();
        let said = self.command(arguments).refused();
        assert_eq!(self.text(), before);
        said
    }
}

#[test]
fn a_permission_is_a_line_more_and_nothing_else_moves() {
    let project = Project::new(MANIFEST);
    let told = project.added(&["permission", "a", "net = [\"smtp.example.com:465\"]"]);
    assert!(told.starts_with("[services.a.permissions]\nnet = ["), "{told}");
    let line = "    \"api.example.com:443\", # rates\n";
    let after = MANIFEST.replace(line, &format!("{line}    \"smtp.example.com:465\",\n"));
    assert_eq!(project.text(), after);
    project.added(&["permission", "a", "passwords = true"]);
    assert_eq!(project.text(), after.replace("\n  ]\n", "\n  ]\npasswords = true\n"));
    let again = project.refused(&["permission", "a", "net = [\"smtp.example.com:465\"]"]);
    assert!(again.contains("`a` has `net = [\"smtp.example.com:465\"]` already"), "{again}");
}

#[test]
fn what_would_be_a_mistake_is_refused_and_nothing_is_written() {
    let project = Project::new(MANIFEST);
    let database = project.refused(&["permission", "a", "postgres = { orders = \"read\" }"]);
    assert!(database.contains("nothing is written") && database.contains("orders"), "{database}");
    assert!(project.refused(&["permission", "b", "passwords = true"]).contains("there is no service `b`"));
    assert!(project.refused(&["permission", "a", "run = true"]).contains("no permission"));
    assert!(project.refused(&["route", "/b", "b", "--public"]).contains("there is no service `b`"));
    assert!(project.refused(&["route", "b", "a", "--public"]).contains("nothing is written"));
    assert!(project.refused(&["service", "a"]).contains("there is a service `a`"));
    assert!(project.refused(&["service", "Mail"]).contains("no name for a service"));
    let nowhere = Command::new(&["add", "route", "/b", "a", "--manifest", "/nowhere/archipel.toml"]).refused();
    assert!(nowhere.contains("cannot read `/nowhere/archipel.toml`"), "{nowhere}");
    fs::write(project.0.path().join("archipel.toml"), "name = [").unwrap();
    assert!(project.refused(&["route", "/b", "a"]).contains("is no TOML"));
}

#[test]
fn a_route_is_a_table_more_and_one_for_the_same_requests_is_refused() {
    let project = Project::new(MANIFEST);
    let told = project.added(&["route", "/mail/{id}", "a", "--method", "get", "--public", "--limit", "10/min"]);
    let route =
        "[[routes]]\npath = \"/mail/{id}\"\nmethods = [\"GET\"]\nservice = \"a\"\nlimit = \"10/min\"\npublic = true\n";
    assert_eq!(told, route);
    assert_eq!(project.text(), format!("{MANIFEST}\n{route}"));
    let again = project.refused(&["route", "/mail/{id}", "a", "--method", "GET"]);
    assert!(again.contains("there is a route for /mail/{id} already, to `a`"), "{again}");
}

#[test]
fn a_service_is_a_folder_a_table_and_a_route_that_are_checked_together() {
    for (lang, file, build) in [
        ("ts", "package.json", "npm run --silent --prefix mail build"),
        ("rust", "Cargo.toml", "cargo build --release --target wasm32-wasip2 --manifest-path mail/Cargo.toml"),
    ] {
        let project = Project::new(MANIFEST);
        let folder = project.0.path().join("mail");
        project.added(&["service", "mail", "--lang", lang]);
        let text = project.text();
        assert!(text.contains("[services.mail]\ncomponent = \"mail/"), "{text}");
        assert!(text.contains(&format!("build = \"{build}\"")) && text.contains("path = \"/mail/{*rest}\""), "{text}");
        assert!(folder.join(file).is_file() && !folder.join("archipel.toml").exists());
        assert!(!folder.join(".github").exists());
        let has_system_tests = fs::read_dir(folder.join("tests")).is_ok_and(|tests| {
            tests.filter_map(Result::ok).any(|file| file.file_name().to_string_lossy().starts_with("system"))
        });
        assert!(!has_system_tests, "they are the project's");
        fs::remove_dir_all(&folder).unwrap();
        assert!(project.refused(&["service", "mail"]).contains("there is a service `mail`"));
        assert!(!folder.exists());
    }
    let project = Project::new(MANIFEST);
    fs::create_dir(project.0.path().join("mail")).unwrap();
    fs::write(project.0.path().join("mail/precious"), "kept").unwrap();
    assert!(project.refused(&["service", "mail", "--lang", "ts"]).contains("holds something already"));
}

/// What the service `mail`, which was added to nothing, answers once it is built.
#[track_caller]
fn added_and_asked(lang: &str, prepare: impl FnOnce(&Path)) {
    let project = Project::new("name = \"post\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n");
    project.added(&["service", "mail", "--lang", lang]);
    let folder = project.0.path().join("mail");
    prepare(&folder);
    let (tests, passed, answer) = match lang {
        "ts" => ("npm test", "everybody is greeted", "{\"hello\":\"mail\"}"),
        _ => ("cargo test", "everybody_is_greeted ... ok", "\"hello from mail\""),
    };
    let asked = format!("(cd mail && {tests}) && curl -sS -w ' %{{http_code}}\\n' \"$ARCHIPEL_URL/mail\"");
    let mut command = archipel();
    command.args(["test", project.0.path().join("archipel.toml").to_str().unwrap(), "--", "sh", "-c", &asked]);
    command.env("CARGO_NET_OFFLINE", "true").env("npm_config_offline", "true");
    if let Ok(toolchain) = std::env::var("WASM_TOOLCHAIN") {
        command.env("RUSTUP_TOOLCHAIN", toolchain); // as scripts/wasm.sh chooses it
    }
    let done = command.stdin(Stdio::null()).output().unwrap();
    let output = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{output}{}", String::from_utf8_lossy(&done.stderr));
    for said in [passed, &format!("{answer} 200\n")] {
        assert!(output.contains(said), "no `{said}` in {output}");
    }
}

#[test]
fn a_service_in_rust_that_was_added_builds_passes_its_tests_and_answers() {
    added_and_asked("rust", |folder| {
        // What it is built of has been built for the shop.
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/target"), folder.join("target")).unwrap();
    });
}

#[test]
fn a_service_in_typescript_that_was_added_builds_passes_its_tests_and_answers() {
    added_and_asked("ts", installed);
}
