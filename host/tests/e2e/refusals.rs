//! Wrong input: a message that says what, which one and what to do, exit 1, and nothing left
//! running or half written.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
};

use crate::harness::{Command, Failed, Host, components, free, shop, spoilt, write_manifest};

/// A service `it` made of `component`, which is put into the manifest's folder as `it.wasm`.
#[track_caller]
fn refused_component(bytes: &[u8]) -> Failed {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("it.wasm"), bytes).unwrap();
    refused_in(folder, &service("it.wasm", ""))
}

fn service(component: &str, lines: &str) -> String {
    format!(
        "[services.it]\ncomponent = \"{component}\"\n{lines}\n[[routes]]\npath = \"/\"\nservice = \"it\"\npublic = true\n"
    )
}

#[track_caller]
fn refused(rest: &str) -> Failed {
    refused_in(tempfile::tempdir().unwrap(), rest)
}

#[track_caller]
fn refused_in(folder: tempfile::TempDir, rest: &str) -> Failed {
    let place = folder.path().to_owned();
    let Err(failed) = Host::start(folder, rest) else { panic!("it started") };
    assert_eq!(failed.status.code(), Some(1), "{}", failed.errors);
    assert_eq!(processes_with(&place), Vec::<String>::new(), "still running");
    failed
}

/// The command lines of running processes that name `folder`.
fn processes_with(folder: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let line = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).ok();
    processes.filter_map(line).filter(|line| line.contains(folder.to_str().unwrap())).collect()
}

#[track_caller]
fn says(failed: &Failed, parts: &[&str]) {
    for part in parts {
        assert!(failed.errors.contains(part), "no `{part}` in: {}", failed.errors);
    }
    assert!(!failed.errors.contains("panicked"), "{}", failed.errors);
}

#[test]
fn a_file_that_is_no_component_is_named_with_what_it_is() {
    says(&refused_component(b"\0asm\x01\0\0\0"), &["it.wasm` is a core module", "--target wasm32-wasip2"]);
    says(
        &refused_component(b"#!/bin/sh\necho hello\n"),
        &["it.wasm` is no WebAssembly component", "another kind of file: it begins with `"],
    );
    says(&refused_component(b""), &["it.wasm` is no WebAssembly component"]);
    let whole = fs::read(components().join("hello.wasm")).unwrap();
    says(&refused_component(&whole[..whole.len() / 2]), &["it.wasm` is no WebAssembly component", "truncated"]);
    says(
        &refused_component(b"\0asm\x0d\0\x01\0"),
        &["does not export `wasi:http/incoming-handler@0.2`", "exports nothing"],
    );
}

#[test]
fn a_component_that_is_too_large_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    File::create(folder.path().join("it.wasm")).unwrap().set_len((64 << 20) + 1).unwrap();
    says(&refused_in(folder, &service("it.wasm", "")), &["it.wasm", "67108865 bytes", "67108864"]);
}

#[test]
fn a_missing_component_names_the_command_that_builds_it() {
    let failed = refused(&service("nowhere.wasm", "build = \"just component it\""));
    says(&failed, &["7:13 services.it.component", "nowhere.wasm", "build it with `just component it`"]);
}

#[test]
fn an_interface_of_ours_that_nobody_grants_is_named_with_the_line_that_would() {
    let failed = refused(&service("COMPONENTS/probe_pg.wasm", ""));
    says(
        &failed,
        &[
            "`it` imports `archipel:postgres/",
            "manifest.toml",
            "postgres = { NAME = \"read-write\" }",
            "services.it.permissions",
        ],
    );
    let unknown = spoilt::renamed(&fs::read(components().join("plain.wasm")).unwrap(), "wasi:cli/", "acme:rob/");
    says(&refused_component(&unknown), &["`it` imports `acme:rob/", "archipel inspect"]);
}

/// A field of a record of ours has another name: as in a component of another version.
#[track_caller]
fn outdated(name: &str, field: (&str, &str), lines: &str, told: &[&str]) {
    let old = spoilt::renamed(&fs::read(components().join(name)).unwrap(), field.0, field.1);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("it.wasm"), old).unwrap();
    let manifest = write_manifest(folder.path(), &service("it.wasm", lines));
    let checked = Command::new(&["check", manifest.to_str().unwrap()]).refused();
    let run = refused_in(folder, &service("it.wasm", lines));
    for part in told.iter().chain(&["it.wasm` ", "in another form than this host", "build it again"]) {
        assert!(checked.contains(part), "no `{part}` in: {checked}");
    }
    says(&run, told);
    says(&run, &["it.wasm` ", "in another form than this host", "build it again"]);
}

#[test]
fn a_component_for_another_version_of_an_interface_of_ours_is_told_to_be_built_again() {
    let handler = ["exports `archipel:http/handler@0.1.0`"];
    outdated("hello.wasm", ("authority", "authorita"), "", &handler);
    let events = "permissions = { subscribe = [\"a.*\"] }\n[events]\nredis = \"main\"\n[redis.main]";
    outdated("probe_events.wasm", ("max-attempts", "max-attempto"), events, &["exports `archipel:messaging/consumer"]);
    outdated("users.wasm", ("sqlstate", "sqlstati"), &users(shop::GRANTS, ""), &["imports `archipel:postgres/"]);
}

/// Lines for a service that is the users component.
fn users(grants: &str, database: &str) -> String {
    let auth = "[auth.main]\nissuer = \"archipel\"\naudience = \"shop\"\nkeys = { generate = true }";
    format!("permissions = {{ {grants} }}\n{auth}\n[postgres.users]\n{database}")
}

#[test]
fn a_component_that_needs_more_than_granted_is_refused_and_its_database_stops() {
    let lines = &*users(&shop::GRANTS.replace("read-write", "read"), "");
    let failed = refused(&service("COMPONENTS/users.wasm", lines));
    says(
        &failed,
        &["service `it`", "needs more than", "services.it.permissions", "postgres = { users = \"read-write\" }"],
    );
}

#[test]
fn a_route_of_the_hosts_own_is_refused_and_the_database_stops() {
    let lines = &*users(shop::GRANTS, "");
    let rest =
        service("COMPONENTS/users.wasm", lines).replace("path = \"/\"", "path = \"/health/live\"\nmethods = [\"GET\"]");
    says(&refused(&rest), &["routes[0]", "a path of the host itself", "choose another"]);
}

#[test]
fn a_component_whose_start_fails_is_refused_before_anything_is_served() {
    let hello = fs::read(components().join("hello.wasm")).unwrap();
    says(
        &refused_component(&spoilt::starting_with(&hello, spoilt::TRAP)),
        &["service `it` does not start", "unreachable"],
    );
    says(
        &refused_component(&spoilt::starting_with(&hello, spoilt::LOOP)),
        &["service `it` does not start", "limits.cpu"],
    );
}

#[test]
fn every_mistake_of_a_manifest_is_reported_at_once_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let rest = r#"
[services.it]
component = "COMPONENTS/hello.wasm"
versoin = "1.0.0"
limits = { timeout = "0s", memory = 5 }

[[routes]]
path = "/a//b"
service = "its"
"#;
    let failed = refused_in(folder, rest);
    let places: Vec<_> = failed.errors.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(places.len() >= 5, "{}", failed.errors);
    says(
        &failed,
        &[
            "manifest.toml has ",
            "9:1 services.it.versoin",
            "did you mean `version`?",
            "10:22 services.it.limits.timeout",
        ],
    );
    says(&failed, &["services.it.limits.memory", "13:8 routes[0].path", "14:11 routes[0].service"]);
    let json = failed.json.expect("a document for the pipe");
    assert_eq!(json["count"].as_u64(), Some(places.len() as u64));
    assert_eq!(json["problems"][0]["line"], 9);
}

#[test]
fn a_key_of_a_later_feature_is_refused_and_never_ignored() {
    let failed = refused(&format!("[profiles.test]\nx = 1\n{}", service("COMPONENTS/hello.wasm", "")));
    says(&failed, &["profiles", "not yet supported (profiles); remove it"]);
    let with_auth = service("COMPONENTS/hello.wasm", "").replace("public = true", "auth = \"main\"");
    says(&refused(&with_auth), &["routes[0].auth", "there is no `[auth.main]`"]);
}

#[test]
fn a_route_that_does_not_say_that_it_is_public_is_not_served_open() {
    let closed = service("COMPONENTS/hello.wasm", "").replace("public = true", "");
    says(&refused(&closed), &["routes[0]", "public = true"]);
    says(&refused(&service("COMPONENTS/hello.wasm", "").replace("true", "false")), &["routes[0].public"]);
}

#[test]
fn a_port_in_use_is_named_and_no_data_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let hello = service("COMPONENTS/hello.wasm", "");
    for listen in ["gateway", "admin"] {
        let folder = tempfile::tempdir().unwrap();
        let file = write_manifest(folder.path(), &hello);
        let text = fs::read_to_string(&file).unwrap();
        let other = format!("[{listen}]\nlisten = \"{address}\"");
        let text = text.replace(&format!("[{listen}]\nlisten = \"127.0.0.1:0\""), &other);
        let inline = format!("{listen} = {{ listen = ");
        fs::write(&file, text.replace(&format!("{inline}\"127.0.0.1:0\""), &format!("{inline}\"{address}\""))).unwrap();
        let refused = Command::new(&["run", file.to_str().unwrap()]).refused();
        assert!(refused.contains(&format!("{address} is in use")) && refused.contains("choose another"), "{refused}");
        assert!(!folder.path().join(".archipel").exists(), "data was made");
    }
}

#[test]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    let lines = users(shop::GRANTS, &format!("url = \"postgres://me:canary-password@{}/users\"", free()));
    let failed = refused(&service("COMPONENTS/users.wasm", &lines));
    says(&failed, &["postgres.users.url", "is it running"]);
    assert!(!failed.errors.contains("canary-password") && !failed.log.contains("canary-password"));
}

#[test]
fn a_data_folder_that_cannot_be_written_to_is_named() {
    let rest = format!("[host]\ndata = \"/proc/no/data\"\n{}", service("COMPONENTS/hello.wasm", ""));
    says(&refused(&rest), &["cannot write to `/proc/no/data`", "host.data"]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let rest = format!("[host]\ndata = \"file\"\n{}", service("COMPONENTS/hello.wasm", ""));
    says(&refused_in(folder, &rest), &["file`", "host.data"]);
}

#[test]
fn two_hosts_cannot_share_their_data() {
    let host = Host::running(&service("COMPONENTS/hello.wasm", ""));
    let file = host.folder.path().join("manifest.toml");
    let refused = Command::new(&["run", file.to_str().unwrap()]).refused();
    assert!(refused.contains(&format!("another host (pid {})", host.id())), "{refused}");
    assert_eq!(host.get("/").status, 200, "the first does not notice");
}

#[test]
fn a_manifest_that_is_not_there_is_named_with_an_example() {
    for command in ["run", "check"] {
        let refused = Command::new(&[command, "/nowhere/shop.toml"]).refused();
        assert!(refused.contains("/nowhere/shop.toml") && refused.contains("manifests/shop.toml"), "{refused}");
    }
}

#[test]
fn wrong_usage_exits_2_with_the_way_to_help() {
    for wrong in [&["run"][..], &["run", "a.toml", "b.toml"], &["walk"], &["check", "--wrong"], &[]] {
        let done = Command::new(wrong).done();
        assert_eq!(done.code, 2, "{wrong:?}");
        assert!(done.errors.contains("Usage: archipel"), "{}", done.errors);
    }
}
