//! What a host starts never outlives it, whatever ends it and whatever its servers do.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::harness::{
    Host,
    admin::{build, wasm},
    archipel, children, is_running, place, postmaster, probe, redis_pid, until, wait, write_manifest,
};

/// Both private servers, and a limit that comes soon.
fn manifest() -> String {
    format!("[host]\ndrain = \"2s\"\n[postgres.things]\n[redis.main]\n{}", probe(""))
}

fn kill(signal: &str, pid: &str) {
    assert!(Command::new("kill").arg(format!("-{signal}")).arg(pid).status().unwrap().success());
}

#[test]
fn private_servers_and_a_build_end_with_a_host_that_is_killed() {
    let folder = place();
    fs::create_dir_all(folder.path().join("ws/one")).unwrap();
    fs::write(folder.path().join("ws/one/Cargo.toml"), "").unwrap();
    fs::write(folder.path().join("ws/one/source"), build(&wasm("probe"), 1)).unwrap();
    let service = "[services.one]\ncomponent = \"ws/target/one.wasm\"\nbuild = \"if test -e slow; then sleep 600 & \
                   echo $! > pid; wait; fi; mkdir -p ws/target; cp ws/one/source ws/target/one.wasm\"\n";
    let host = Host::start_as(folder, &(manifest() + service), &["--watch"], &[]);
    let host = host.map_err(|failed| failed.errors).unwrap();
    let servers = [postmaster(&host.data())[0].clone(), redis_pid(&host.data())];
    let sockets = [postmaster(&host.data())[4].clone(), fs::read_to_string(host.data().join("redis.socket")).unwrap()];
    fs::write(host.folder.path().join("slow"), "").unwrap();
    fs::write(host.folder.path().join("ws/one/source"), build(&wasm("probe"), 2)).unwrap();
    let compiler = until("a build is under way", || {
        fs::read_to_string(host.folder.path().join("pid")).ok().filter(|pid| pid.ends_with('\n'))
    });
    let all: Vec<String> = servers.iter().map(String::as_str).chain([compiler.trim()]).map(str::to_owned).collect();
    assert!(all.iter().all(|pid| is_running(pid)));
    let watchers: Vec<_> = children(host.id()).into_iter().filter(|child| !all.contains(child)).collect();

    let folder = host.killed();
    until("all of them have ended", || !all.iter().any(|pid| is_running(pid)));
    // In order, so there is nothing to recover.
    assert!(!folder.path().join(".archipel/postgres/postmaster.pid").exists());
    until("those who saw to it, too", || !watchers.iter().any(|pid| is_running(pid)));
    assert!(!sockets.iter().any(|socket| Path::new(socket).exists()), "{sockets:?}");
}

/// Whether any process was started with this in its arguments.
fn is_named(folder: &Path) -> bool {
    let name = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let arguments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    arguments.into_iter().any(|line| String::from_utf8_lossy(&line).contains(name))
}

#[test]
fn a_host_killed_while_it_makes_its_data_leaves_nobody_at_work_and_the_next_one_starts() {
    let folder = place();
    let mut child = archipel().arg("run").arg(write_manifest(folder.path(), &manifest())).spawn().unwrap();
    // Or has been, if this looked late.
    let made = [".archipel/postgres.new/base", ".archipel/postgres/base"].map(|made| folder.path().join(made));
    until("data is being made", || made.iter().any(|made| made.exists()));
    child.kill().unwrap();
    wait(&mut child);
    until("nobody is at work on it", || !is_named(folder.path()));
    let host = Host::running_in(folder, &manifest());
    assert_eq!(host.get("/").status, 200);
}

#[test]
fn a_host_ends_in_time_while_its_servers_cannot_start_again_or_do_not_answer() {
    let mut host = Host::running(&manifest());
    let (postgres, redis) = (postmaster(&host.data())[0].clone(), redis_pid(&host.data()));
    // Neither the one that cannot be started nor the one that hangs.
    let owned = host.data().join("postgres/postgresql.conf");
    fs::rename(&owned, owned.with_extension("gone")).unwrap();
    kill("KILL", &postgres);
    kill("STOP", &redis);
    host.log.expect_line("the private PostgreSQL does not start");
    let began = Instant::now();
    host.signal("TERM");
    assert!(host.ended().success());
    println!("ended {:?} after the signal, with a limit of 2 s", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(6), "it waits 10 s for a Redis otherwise: {:?}", began.elapsed());
    until("the one that hung is gone", || !is_running(&redis));
}

#[test]
fn a_host_started_by_nohup_goes_on_after_a_hangup() {
    let folder = place();
    let manifest = write_manifest(folder.path(), &probe(""));
    let mut ignoring = Command::new("/bin/sh");
    ignoring.args(["-c", "trap '' HUP; exec \"$0\" run \"$1\""]).arg(archipel().get_program()).arg(manifest);
    let mut host = Host::spawned(ignoring, folder).map_err(|failed| failed.errors).unwrap();
    host.signal("HUP");
    assert_eq!(host.get("/").status, 200);
    host.signal("TERM");
    assert!(host.ended().success());
    assert_eq!(host.log.ended().matches("draining").count(), 1, "{}", host.log.text());
}

#[test]
fn a_small_address_space_is_told_at_the_start_and_costs_no_answer() {
    let folder = place();
    let manifest = write_manifest(folder.path(), &probe(""));
    let mut bounded = Command::new("/bin/sh");
    // 32 GiB: room for some instances and for none of the slots.
    bounded.args(["-c", "ulimit -v 33554432; exec \"$0\" run \"$1\""]).arg(archipel().get_program()).arg(manifest);
    let host = Host::spawned(bounded, folder).map_err(|failed| failed.errors).unwrap();
    host.log.expect_line("raise the address space limit (ulimit -v)");
    assert_eq!((host.get("/").status, host.get("/").status), (200, 200));
}

/// `archipel run` as the first process of a namespace of its own; none where the system permits none.
fn first(folder: &Path, rest: &str) -> Option<Command> {
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).args(arguments);
        command
    };
    let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    let way = ways.into_iter().find(|way| unshare(way).arg("true").output().is_ok_and(|done| done.status.success()))?;
    let mut command = unshare(way);
    command.arg(archipel().get_program()).arg("run").arg(write_manifest(folder, rest)).arg("--watch");
    Some(command)
}

#[test]
fn as_the_first_process_it_takes_note_of_orphans_and_passes_signals_on() {
    let folder = place();
    fs::copy(crate::harness::components().join("probe.wasm"), folder.path().join("source")).unwrap();
    // What the build leaves behind has no parent once the shell has ended.
    let service = "[services.probe]\ncomponent = \"probe.wasm\"\nbuild = \"sleep 1 > log 2>&1 & cp source probe.wasm\"\n\
                   [[routes]]\npath = \"/{*rest}\"\nservice = \"probe\"\npublic = true\n";
    let Some(first) = first(folder.path(), service) else {
        println!("this system permits no namespace of processes: not tested");
        return;
    };
    let host = Host::spawned(first, folder).map_err(|failed| failed.errors).unwrap();
    let init = until("the first process", || children(host.id()).pop());
    let inner = until("the host is a child of it", || children(init.parse().unwrap()).into_iter().next());
    let sleeps = || children(init.parse().unwrap()).into_iter().filter(|child| *child != inner).count();
    until("no orphan is left, ended or not", || {
        thread::yield_now();
        sleeps() == 0
    });
    assert_eq!(host.get("/").status, 200);
    let mut host = host;
    kill("TERM", &init);
    assert!(host.ended().success());
    assert!(host.log.ended().contains("\"stragglers\":0"), "{}", host.log.text());
}

#[test]
fn the_exit_code_of_the_host_is_that_of_the_first_process() {
    let folder = place();
    let Some(mut first) = first(folder.path(), "[hots]\n") else {
        println!("this system permits no namespace of processes: not tested");
        return;
    };
    let mut child = first.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    assert_eq!(wait(&mut child).code(), Some(1));
}
