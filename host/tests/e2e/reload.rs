//! The manifest's file is read again: by `archipel reload`, by SIGHUP, and by itself when it changes.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::harness::{
    Connection, End, Held, Host, archipel, children, is_running, place, probe, until, write_manifest,
};

fn coloured(colour: &str) -> String {
    probe(&format!("env = {{ COLOUR = \"{colour}\" }}\npermissions = {{ env = [\"COLOUR\"] }}"))
}

#[track_caller]
fn colour(host: &Host) -> Value {
    host.get("/env").json()["COLOUR"].clone()
}

/// No manifest: a key that there is not, beside one that would do something.
const WRONG: &str = "[services.probe]\ncomponent = \"COMPONENTS/probe.wasm\"\ncolour = \"blue\"\n";

#[test]
fn reload_reads_the_hosts_own_file_and_says_what_changed() {
    let host = Host::running(&coloured("red"));
    write_manifest(host.folder.path(), &coloured("green"));
    assert_eq!(colour(&host), "red", "nothing happens by itself");
    let done = host.command(&["reload"]).done();
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(
        serde_json::from_str::<Value>(&done.output).unwrap()["services"][0]["change"],
        "changed",
        "{}",
        done.output
    );
    assert_eq!(colour(&host), "green");

    write_manifest(host.folder.path(), WRONG);
    let done = host.command(&["reload"]).done();
    assert_eq!(done.code, 1, "{}", done.output);
    assert!(done.errors.contains("colour"), "{}", done.errors);
    assert_eq!(colour(&host), "green", "what ran goes on");
}

#[test]
fn a_hangup_reloads_a_host_without_a_terminal() {
    let mut setsid = Command::new("setsid");
    setsid.arg(archipel().get_program());
    let mut host = Host::start_by(setsid, place(), &coloured("red"), &[]).map_err(|failed| failed.errors).unwrap();
    let held = Held::open(host.gateway, 1500);
    write_manifest(host.folder.path(), &coloured("green"));
    host.signal("HUP");
    until("the new manifest runs", || colour(&host) == "green");
    assert!(held.ends_whole(), "what was in flight is not disturbed");
    write_manifest(host.folder.path(), WRONG);
    host.signal("HUP");
    host.log.expect_line("the manifest's file cannot run; what ran before goes on");
    assert_eq!(colour(&host), "green");
    host.signal("TERM");
    assert!(host.ended().success());
}

#[test]
fn a_terminal_that_closes_drains_a_host() {
    let folder = place();
    let manifest = write_manifest(folder.path(), &probe(""));
    let program = archipel().get_program().to_owned();
    let line = format!("exec '{}' --json run '{}' 2>/dev/null", program.display(), manifest.display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]).env("SHELL", "/bin/sh");
    let mut host = Host::spawned(script, folder).map_err(|failed| failed.errors).unwrap();
    let [inner] = &children(host.id())[..] else { panic!("`script` runs one host") };
    let held = Held::open(host.gateway, 1500);
    host.signal("KILL"); // the terminal is gone with it
    assert!(!host.ended().success());
    assert!(held.ends_whole(), "it drains");
    until("the host has ended", || !is_running(inner));
}

/// Puts `rest` in place as Kubernetes does: all files of a version in a folder, one link that leads there.
fn mounted(folder: &Path, version: &str, rest: &str) {
    fs::create_dir(folder.join(version)).unwrap();
    write_manifest(&folder.join(version), rest);
    symlink(version, folder.join("..next")).unwrap();
    fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
}

#[test]
fn a_manifest_behind_swapped_links_is_applied_under_load_and_a_bad_one_changes_nothing() {
    let folder = place();
    mounted(folder.path(), "..0", &coloured("0"));
    symlink("..data/manifest.toml", folder.path().join("manifest.toml")).unwrap();
    let mut run = archipel();
    run.arg("run").arg(folder.path().join("manifest.toml")).arg("--apply-on-change");
    let host = Host::spawned(run, folder).map_err(|failed| failed.errors).unwrap();
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let _end = End(&stop);
        let client = || {
            let mut connection = Connection::open(host.gateway);
            while !stop.load(Relaxed) {
                connection.request("GET", "/env", &[], b"");
                let answer = connection.answer(false).expect("an answer to every request");
                assert!(answer.whole && answer.status == 200, "{answer:?}");
                answers.fetch_add(1, Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        };
        let clients = [(); 3].map(|()| scope.spawn(client));
        until("the load is on", || answers.load(Relaxed) > 50);
        for number in 1..=3 {
            mounted(host.folder.path(), &format!("..{number}"), &coloured(&number.to_string()));
            until("the new manifest runs", || colour(&host) == number.to_string().as_str());
            fs::remove_dir_all(host.folder.path().join(format!("..{}", number - 1))).unwrap();
        }
        mounted(host.folder.path(), "..bad", WRONG);
        host.log.expect_line("the manifest's file cannot run; what ran before goes on");
        assert_eq!(colour(&host), "3");
        mounted(host.folder.path(), "..4", &coloured("4"));
        until("one after a bad one runs", || colour(&host) == "4");
        stop.store(true, Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
}
