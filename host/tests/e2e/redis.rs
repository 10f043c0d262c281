//! The private Redis: there when the host is, gone when it is not, and what was counted is kept.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
};

use crate::harness::{Failed, Host, Streams, children, place, probe, redis_pid, until};

/// Three requests an hour, counted in the private server.
fn manifest() -> String {
    let gateway = "[gateway]\nlisten = \"127.0.0.1:0\"\nlimit = \"3/h\"\nlimit_store = \"redis.main\"\n";
    format!("{gateway}[redis.main]\n[redis.other]\n{}", probe(""))
}

fn lives(pid: &str) -> bool {
    // A child that nobody has waited for is no process any more.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Whether the server has counted three: the bucket is full again in more than two thirds of an hour.
fn is_empty(host: &Host) -> bool {
    let server = Streams::inside(host);
    let buckets: Vec<String> = server.command(&["KEYS", "archipel:limit:*"]);
    buckets.iter().any(|bucket| server.command::<i64>(&["PTTL", bucket]) > 40 * 60 * 1000)
}

/// Asks until the server has counted three. Of those it was late for, on a busy machine, memory counts three, too.
fn empty(host: &Host) {
    let mut statuses = Vec::new();
    until("the server has counted three", || {
        statuses.push(host.get("/").status);
        is_empty(host)
    });
    assert_eq!(statuses[..3], [200; 3]);
    until("nobody comes in any more", || host.get("/").status == 429);
}

#[test]
fn what_is_counted_outlives_the_host_and_a_stop_leaves_nothing_running() {
    let host = Host::running(&manifest());
    empty(&host);
    until("it is well", || host.get("/health").json()["checks"]["redis.main"]["status"] == "healthy");

    let data = host.data();
    let pid = redis_pid(&data);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data.join("redis")), 0o700);
    let socket = fs::read_to_string(data.join("redis.socket")).unwrap();
    assert_eq!(mode(Path::new(&socket)), 0o700, "{socket}");
    let (mine, servers) = (fs::metadata(&data).unwrap().uid(), fs::metadata(format!("/proc/{pid}")).unwrap().uid());
    assert_eq!(mine == 0, servers != mine, "root's server runs as somebody else");
    let listening = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    assert!(!listening.contains(":18EB"), "nobody listens on 6379");

    let folder = host.stop();
    assert!(!lives(&pid));
    assert!(!Path::new(&socket).exists());
    let host = Host::running_in(folder, &manifest());
    println!("second start {} ms", host.report["startMs"]);
    assert!(is_empty(&host), "the bucket is as empty as it was");
    until("nobody comes in", || host.get("/").status == 429);
    assert!(host.report["startMs"].as_u64().unwrap() < 10_000);
}

#[test]
fn a_server_that_a_killed_host_left_behind_is_ended_by_the_next_one_and_nothing_is_lost() {
    // Like a clone in /root: closed to everybody else.
    let folder = place();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let host = Host::running_in(folder, &manifest());
    empty(&host);
    let (pid, data) = (redis_pid(&host.data()), host.data());
    let socket = fs::read_to_string(data.join("redis.socket")).unwrap();
    // Whoever would have ended it goes first.
    let watchers = children(host.id()).into_iter().filter(|child| *child != pid);
    watchers.for_each(|watcher| assert!(Command::new("kill").args(["-KILL", &watcher]).status().unwrap().success()));
    let folder = host.killed();
    assert!(lives(&pid));
    let host = Host::running_in(folder, &manifest());
    assert!(!lives(&pid), "the server of the killed host is gone");
    assert!(!Path::new(&socket).exists());
    assert_ne!(redis_pid(&data), pid);
    assert!(is_empty(&host), "nothing is lost");
    until("nobody comes in", || host.get("/").status == 429);
}

#[test]
fn a_private_server_that_dies_is_started_again_with_its_data() {
    let host = Host::running(&manifest());
    empty(&host);
    let pid = redis_pid(&host.data());
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    host.log.expect_line("the private Redis ended; starting it again");
    until("a new server", || {
        fs::read_to_string(host.data().join("redis/redis.pid"))
            .is_ok_and(|text| text.trim() != pid && lives(text.trim()))
    });
    // While it was away memory counted; what the server knows counts again.
    until("the server is asked again", || {
        host.get("/health").json()["checks"]["redis.main"]["status"] == "healthy" && host.get("/").status == 429
    });
}

#[test]
fn a_start_without_redis_says_what_to_do() {
    let nowhere = [("ARCHIPEL_REDIS", "/nowhere/redis-server")];
    let Err(Failed { errors, status, .. }) = Host::start_with(place(), &manifest(), &nowhere) else {
        panic!("the host started");
    };
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("ARCHIPEL_REDIS is `/nowhere/redis-server`"), "{errors}");
}
