//! A component made with Spin's sdk, run as docs/from-spin.md shows it: on the interfaces that are WASI's it is unchanged.

use std::{fs, path::Path};

use crate::harness::{Command, foreign, place};

/// What the page shows between its headings `from` and the next.
fn part(page: &str, from: &str) -> String {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("no `{from}`"));
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

/// The first block of a kind.
fn block<'a>(part: &'a str, kind: &str) -> &'a str {
    let (_, rest) = part.split_once(&format!("```{kind}\n")).unwrap_or_else(|| panic!("no block of {kind}"));
    rest.split("```").next().unwrap_or_default()
}

#[test]
fn a_component_of_spins_sdk_runs_as_the_page_shows() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/from-spin.md")).unwrap();
    let shown = part(&page, "## Try it");
    let folder = place();
    let built = folder.path().join("target/wasm32-wasip2/release");
    fs::create_dir_all(&built).unwrap();
    fs::copy(foreign("spin"), built.join("spin_guest.wasm")).unwrap();
    let manifest = folder.path().join("archipel.toml");
    fs::write(&manifest, block(&shown, "toml")).unwrap();

    let (commands, answers): (Vec<&str>, Vec<&str>) =
        block(&shown, "console").lines().partition(|line| line.starts_with("$ "));
    let inspected = commands.iter().find_map(|line| line.strip_prefix("$ archipel inspect ")).expect("it is inspected");
    let inspected = Command::new(&["inspect", folder.path().join(inspected).to_str().unwrap()]).done();
    assert!(
        inspected.code == 0 && inspected.output.contains("wasi:keyvalue/atomics@0.2.0-draft2"),
        "{}",
        inspected.output
    );
    let asked = commands.iter().filter(|line| line.starts_with("$ curl"));
    let script: String =
        asked.map(|line| line[2..].replace("http://127.0.0.1:3000", "$ARCHIPEL_URL") + "; echo\n").collect();
    let done = Command::new(&["test", "--no-build", manifest.to_str().unwrap(), "--", "sh", "-c", &script]).done();
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(done.output.lines().collect::<Vec<_>>(), answers, "{}", done.errors);
}

#[test]
fn without_its_grants_it_runs_and_each_use_is_denied_and_told() {
    let manifest = format!(
        "[services.spin]\ncomponent = \"{}\"\n[[routes]]\npath = \"/{{*rest}}\"\nservice = \"spin\"\npublic = true\n",
        foreign("spin")
    );
    let host = crate::harness::Host::running(&manifest);
    assert_eq!(host.get("/").text(), "hello from spin");
    for (path, line) in [
        ("/visit", "keyvalue = { default = \"read-write\" }"),
        ("/config", "secrets = [\"GREETING\"]"),
        ("/call", "call = [\"spin\"]"),
    ] {
        assert_eq!(host.get(path).status, 500, "{path}");
        host.log.expect_field("allow", line);
    }
}
