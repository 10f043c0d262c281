//! The private server: there when the host is, gone when it is not, and nothing is ever lost.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::{Connection, Failed, Host, Session, place, postmaster, shop};

/// The shop's users on a private server.
fn users() -> String {
    shop::manifest("", "")
}

#[track_caller]
fn refused(started: Result<Host, Failed>) -> Failed {
    match started {
        Ok(host) => panic!("the host started:\n{}", host.log.text()),
        Err(failed) => {
            assert_eq!(failed.status.code(), Some(1), "{}", failed.errors);
            failed
        }
    }
}

fn lives(pid: &str) -> bool {
    // A child that nobody has waited for is no process any more.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_second_start_is_quick_finds_everything_and_a_stop_leaves_nothing_running() {
    let host = Host::running(&users()).for_admin();
    let created = host.json("POST", "/api/users", &json!({ "email": "ada@example.com", "name": "Ada" }));
    assert_eq!(created.status, 201);
    let path = created.header("location").unwrap().to_owned();
    let first = host.report["startMs"].clone();
    let made = |host: &Host| fs::metadata(host.data().join("postgres/PG_VERSION")).unwrap().modified().unwrap();
    let cluster = made(&host);

    let known = postmaster(&host.data());
    let (pid, socket) = (known[0].clone(), known[4].clone());
    assert_eq!(mode(host.data()), 0o711);
    assert_eq!(mode(host.data().join("postgres")), 0o700);
    assert_eq!(mode(&socket), 0o700, "{socket}");
    assert_eq!(known[5], "", "it listens on the socket only");
    let (mine, servers) =
        (fs::metadata(host.data()).unwrap().uid(), fs::metadata(format!("/proc/{pid}")).unwrap().uid());
    assert_eq!(mine == 0, servers != mine, "root's server runs as somebody else");
    assert_eq!(fs::metadata(host.data().join("postgres")).unwrap().uid(), servers);

    // Another host, with a manifest of its own, on the same data.
    let rest = format!("[host]\ndata = \"{}\"\n{}", host.data().display(), users());
    let failed = refused(Host::start(place(), &rest));
    assert!(failed.errors.contains(&format!("another host (pid {})", host.id())), "{}", failed.errors);
    assert_eq!(host.get(&path).status, 200, "the first one does not notice");

    let folder = host.stop();
    assert!(!lives(&pid));
    assert!(!Path::new(&socket).exists());
    let host = Host::running_in(folder, &users()).for_admin();
    println!("first start {first} ms, second {} ms", host.report["startMs"]);
    // What takes long is not done again: the cluster, and what is compiled.
    assert_eq!((made(&host), &host.report["services"][0]["cached"]), (cluster, &json!(true)));
    assert!(host.report["startMs"].as_u64().unwrap() < 10_000, "{}", host.report["startMs"]);
    assert_eq!(host.get(&path).json()["data"]["email"], "ada@example.com");
}

#[test]
fn a_host_killed_while_it_writes_starts_again_and_has_lost_nothing() {
    const KILLS: usize = 10;
    let acknowledged = Mutex::new(Vec::new());
    let mut host = Host::running(&users()).for_admin();
    let mut starts = Vec::new();
    for round in 0..KILLS {
        let pid = postmaster(&host.data())[0].clone();
        let bearer = host.signed(&[])[0].1.to_owned();
        let enough = acknowledged.lock().unwrap().len() + 20;
        let folder = thread::scope(|scope| {
            for writer in 0..4 {
                let (gateway, bearer, acknowledged) = (host.gateway, &bearer, &acknowledged);
                scope.spawn(move || {
                    let mut connection = Connection::open(gateway);
                    for number in 0.. {
                        let email = format!("{round}.{writer}.{number}@example.com");
                        let body = json!({ "email": email, "name": "Ada" }).to_string();
                        connection.request(
                            "POST",
                            "/api/users",
                            &[("content-type", "application/json"), ("authorization", bearer)],
                            body.as_bytes(),
                        );
                        match connection.answer(false) {
                            Some(answer) if answer.status == 201 => acknowledged.lock().unwrap().push(email),
                            Some(answer) if matches!(answer.status, 503 | 504) => {} // a busy machine
                            _ => return,
                        }
                    }
                });
            }
            let deadline = Instant::now() + Duration::from_secs(60);
            while acknowledged.lock().unwrap().len() < enough && Instant::now() < deadline {
                thread::park_timeout(Duration::from_millis(1));
            }
            host.killed()
        });
        assert!(acknowledged.lock().unwrap().len() >= enough, "nothing is written");
        host = Host::running_in(folder, &users()).for_admin();
        starts.push(host.report["startMs"].as_u64().unwrap());
        assert!(!lives(&pid), "the server of the killed host is gone");
        let emails = acknowledged.lock().unwrap();
        let list = emails.iter().map(|email| format!("'{email}'")).collect::<Vec<_>>().join(",");
        let kept =
            Session::inside(&host, "users").count(&format!("SELECT count(*) FROM users WHERE email IN ({list})"));
        assert_eq!(kept, i64::try_from(emails.len()).unwrap(), "after kill {round}");
    }
    println!("{KILLS} kills: {} acknowledged, all there; starts in {starts:?} ms", acknowledged.lock().unwrap().len());
    assert!(starts.iter().all(|start| *start < 20_000), "{starts:?}");
}

#[test]
fn data_below_a_folder_that_the_servers_account_cannot_enter_works_too() {
    // Like a clone in /root: closed to everybody else.
    let folder = place();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let host = Host::running_in(folder, &users()).for_admin();
    let created = host.json("POST", "/api/users", &json!({ "email": "ada@example.com", "name": "Ada" }));
    let path = created.header("location").unwrap().to_owned();
    let pid = postmaster(&host.data())[0].clone();
    // Killed and stopped like any other.
    let host = Host::running_in(host.killed(), &users()).for_admin();
    assert!(!lives(&pid));
    assert_eq!(host.get(&path).status, 200);
    let pid = postmaster(&host.data())[0].clone();
    let folder = host.stop();
    assert!(!lives(&pid));
    assert_eq!(mode(folder.path()), 0o700, "nothing was opened");
}

#[test]
fn a_start_that_cannot_be_says_what_is_missing() {
    let nowhere = [("ARCHIPEL_POSTGRES", "/nowhere/bin")];
    let failed = refused(Host::start_with(place(), &users(), &nowhere));
    assert!(failed.errors.contains("ARCHIPEL_POSTGRES is `/nowhere/bin`"), "{}", failed.errors);
    // Nobody, root included, can write there.
    let failed = refused(Host::start(place(), &format!("[host]\ndata = \"/proc/archipel\"\n{}", users())));
    assert!(failed.errors.contains("cannot write to `/proc/archipel`"), "{}", failed.errors);
    assert!(failed.errors.contains("`host.data`"), "{}", failed.errors);
}
