//! `run --watch`: what is edited is built and swapped in.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    harness::{
        Connection, Host,
        admin::{build, wasm},
        archipel, place, until, write_manifest,
    },
    swap::version,
};

/// Its crate is a file that the build copies, unless a `broken` lies there.
fn service(name: &str, lines: &str) -> String {
    let crate_of = format!("ws/{name}");
    format!(
        "[services.{name}]\ncomponent = \"ws/target/{name}.wasm\"\n\
         build = \"test ! -e {crate_of}/broken || {{ echo 'error: expected `;`'; exit 1; }}; mkdir -p ws/target; \
         cp {crate_of}/source ws/target/{name}.wasm\"\n{lines}\n\
         [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
    )
}

fn edit(folder: &Path, name: &str, number: u32) {
    fs::write(folder.join(format!("ws/{name}/source")), build(&wasm("probe"), number)).unwrap();
}

#[track_caller]
fn live(host: &Host, name: &str) -> String {
    let mut connection = Connection::open(host.gateway);
    connection.write(format!("GET / HTTP/1.1\r\nhost: {name}.test\r\n\r\n").as_bytes());
    let answer = connection.answer(false).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    version(&answer)
}

#[test]
fn what_is_edited_is_built_and_live_and_a_broken_build_changes_nothing() {
    let folder = place();
    for name in ["one", "two", "lib"] {
        fs::create_dir_all(folder.path().join("ws").join(name)).unwrap();
        fs::write(folder.path().join("ws").join(name).join("Cargo.toml"), "").unwrap();
    }
    edit(folder.path(), "one", 1);
    edit(folder.path(), "two", 1);
    let manifest = [service("one", ""), service("two", "")].concat();
    let host = Host::start_as(folder, &manifest, &["--watch"], &[]).map_err(|failed| failed.errors).unwrap();
    let path = host.folder.path().to_owned();
    let first = live(&host, "one");
    assert_eq!(live(&host, "two"), first, "both were built before the start");
    let changed = |name: &str, from: &str| until("it is live", || Some(live(&host, name)).filter(|now| now != from));

    edit(&path, "one", 2);
    let second = changed("one", &first);
    assert_eq!(live(&host, "two"), first, "a change in one crate is no other's");
    let history = host.admin("GET", "/v1/services/one/versions", b"").json();
    assert_eq!(history["data"][0]["by"], "watch");

    fs::write(path.join("ws/one/broken"), "").unwrap();
    edit(&path, "one", 3);
    host.errors.expect_line("error: expected `;`");
    host.errors.expect_line("one: the build failed; the one before it goes on");
    assert_eq!(live(&host, "one"), second);
    fs::remove_file(path.join("ws/one/broken")).unwrap();
    let third = changed("one", &second);

    // Not even a build that comes out is good.
    fs::write(path.join("ws/one/source"), "no component").unwrap();
    host.errors.expect_line("one: built, and not swapped in");
    assert_eq!(live(&host, "one"), third);

    thread::scope(|scope| {
        scope.spawn(|| edit(&path, "one", 4));
        scope.spawn(|| edit(&path, "two", 4));
    });
    changed("one", &third);
    changed("two", &first);

    fs::write(path.join("ws/lib/lib.rs"), "").unwrap();
    host.errors.expect_line("one: built, and the component is the same");
    host.errors.expect_line("two: built, and the component is the same");
    let same = || host.errors.text().matches("two: built, and the component is the same").count();
    let before = same();
    fs::create_dir(path.join("ws/late")).unwrap();
    until("a folder that comes is a change", || same() > before);
    let before = same();
    fs::write(path.join("ws/late/lib.rs"), "").unwrap();
    until("and so is what changes in it", || same() > before);

    write_manifest(&path, &[service("one", "version = \"2.0.0\""), service("two", "")].concat());
    until("the manifest is applied", || live(&host, "one").starts_with("2.0.0+"));
    host.errors.expect_line("the manifest runs as it is now: one changed");
    write_manifest(&path, "[hots]\n");
    host.errors.expect_line("hots");
    assert!(live(&host, "one").starts_with("2.0.0+"));
}

#[test]
fn what_was_edited_unseen_is_built_before_the_start_and_a_service_that_comes_is_built_too() {
    let folder = place();
    for name in ["one", "two"] {
        fs::create_dir_all(folder.path().join("ws").join(name)).unwrap();
        fs::write(folder.path().join("ws").join(name).join("Cargo.toml"), "").unwrap();
    }
    edit(folder.path(), "one", 1);
    let start = |folder| Host::start_as(folder, &service("one", ""), &["--watch"], &[]).map_err(|failed| failed.errors);
    let host = start(folder).unwrap();
    let first = live(&host, "one");

    let folder = host.stop();
    edit(folder.path(), "one", 2);
    let folder = start(folder).map(|host| {
        assert_ne!(live(&host, "one"), first, "what it is now");
        host.stop()
    });
    let folder = folder.unwrap();
    fs::write(folder.path().join("ws/one/broken"), "").unwrap();
    let host = start(folder).unwrap();
    host.errors.expect_line("one: the build failed; the one before it goes on");
    assert_ne!(live(&host, "one"), first);

    let path = host.folder.path().to_owned();
    fs::write(path.join("ws/two/broken"), "").unwrap();
    edit(&path, "two", 1);
    write_manifest(&path, &[service("one", ""), service("two", "")].concat());
    host.errors.expect_line("two: the build failed");
    host.errors.expect_line("nothing was changed");
    fs::remove_file(path.join("ws/two/broken")).unwrap();
    host.errors.expect_line("the manifest runs as it is now: two added");
    live(&host, "two");
}

#[test]
fn a_first_build_that_fails_and_writes_among_its_source_is_not_tried_for_ever() {
    let folder = place();
    for name in ["one", "two"] {
        fs::create_dir_all(folder.path().join("ws").join(name)).unwrap();
        fs::write(folder.path().join("ws").join(name).join("Cargo.toml"), "").unwrap();
    }
    edit(folder.path(), "one", 1);
    let host = Host::start_as(folder, &service("one", ""), &["--watch"], &[]).map_err(|failed| failed.errors).unwrap();
    let path = host.folder.path().to_owned();
    let two = service("two", "").replace("build = \"", "build = \"echo tried >> runs; echo x >> ws/two/log; exit 1; ");
    write_manifest(&path, &[service("one", ""), two].concat());
    let runs = || fs::read_to_string(path.join("runs")).map_or(0, |text| text.lines().count());
    let mut last = (0, Instant::now());
    until("it rests", || {
        if runs() != last.0 {
            last = (runs(), Instant::now());
        }
        last.0 > 0 && last.1.elapsed() > Duration::from_secs(3)
    });
    assert!(last.0 < 8, "{} builds", last.0);
    edit(&path, "two", 1);
    until("what is edited is tried again", || runs() > last.0);
    live(&host, "one");
}

#[test]
fn a_build_that_writes_among_its_source_comes_to_rest() {
    let folder = place();
    let source = folder.path().join("one");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("source"), build(&wasm("probe"), 1)).unwrap();
    // It tells of itself twice: in a file beside the component, and in one that nobody watches.
    let manifest = service("one", "")
        .replace("ws/target/one.wasm", "one/one.wasm")
        .replace("mkdir -p ws/target", "echo built >> runs; mv $(mktemp one/tXXXXXX) one/stamp")
        .replace("ws/one/", "one/");
    let host = Host::start_as(folder, &manifest, &["--watch"], &[]).map_err(|failed| failed.errors).unwrap();
    let path = host.folder.path().to_owned();
    let first = live(&host, "one");

    fs::write(path.join("one/source"), build(&wasm("probe"), 2)).unwrap();
    let second = until("it is live", || Some(live(&host, "one")).filter(|now| *now != first));
    // Perhaps in the middle of the build that follows: what an editor does is never taken for a build's.
    fs::write(path.join("one/source"), build(&wasm("probe"), 3)).unwrap();
    until("it is live", || Some(live(&host, "one")).filter(|now| *now != second));
    let runs = || fs::read_to_string(path.join("runs")).unwrap().lines().count();
    let mut last = (runs(), Instant::now());
    until("it rests", || {
        if runs() != last.0 {
            last = (runs(), Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(1)
    });
    assert!(last.0 <= 12, "{} builds", last.0);
}

#[test]
fn what_a_build_has_started_ends_with_it_or_with_the_host() {
    let folder = place();
    fs::create_dir_all(folder.path().join("ws/one")).unwrap();
    edit(folder.path(), "one", 1);
    let manifest = service("one", "").replace(
        "mkdir -p",
        "sleep 600 & echo $! > left; if test -e ws/slow; then sleep 600 & echo $! > pid; wait; fi; mkdir -p",
    );
    let host = Host::start_as(folder, &manifest, &["--watch"], &[]).map_err(|failed| failed.errors).unwrap();
    let path = host.folder.path().to_owned();
    let gone = |pid: &str| {
        let stat = Path::new("/proc").join(pid.trim()).join("stat");
        // One that nobody has taken note of yet has ended as well.
        until("it is gone", || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")));
    };
    gone(&fs::read_to_string(path.join("left")).unwrap());
    fs::write(path.join("ws/slow"), "").unwrap();
    edit(&path, "one", 2);
    let pid = until("the build has started something", || {
        fs::read_to_string(path.join("pid")).ok().filter(|pid| pid.ends_with('\n'))
    });
    let _folder = host.stop();
    gone(&pid);
}

/// A service beside its manifest, built by a copy that is counted.
const BESIDE: &str = "[services.one]\ncomponent = \"one.wasm\"\nbuild = \"echo built >> .builds; cp source one.wasm\"\n\
                      [[routes]]\nhost = \"one.test\"\npath = \"/{*rest}\"\nservice = \"one\"\npublic = true\n";

#[test]
fn a_log_beside_the_manifest_and_what_git_ignores_start_no_build() {
    let folder = place();
    let path = folder.path().to_owned();
    let source = |number: u32| fs::write(path.join("source"), build(&wasm("probe"), number)).unwrap();
    source(1);
    fs::write(path.join(".gitignore"), "dist/\n").unwrap();
    fs::create_dir(path.join("dist")).unwrap();
    let mut run = archipel();
    run.arg("run").arg(write_manifest(&path, BESIDE)).arg("--watch");
    // The harness reads what is written there by a pipe of its own.
    let mut host = std::process::Command::new("/bin/sh");
    host.args(["-c", "tail --pid=$$ -n +1 -f out.log & exec \"$0\" run manifest.toml --watch > out.log"]);
    host.arg(run.get_program()).current_dir(&path);
    fs::write(path.join("out.log"), "").unwrap();
    let host = Host::spawned(host, folder).map_err(|failed| failed.errors).unwrap();
    let mut last = live(&host, "one");
    for number in 2..4 {
        for _ in 0..20 {
            live(&host, "one");
            fs::write(path.join("dist/page.js"), number.to_string()).unwrap();
        }
        source(number);
        last = until("it is live", || Some(live(&host, "one")).filter(|now| *now != last));
    }
    let log = || fs::read_to_string(path.join("out.log")).unwrap();
    until("each request is a line", || log().matches("\"request\"").count() > 40);
    let builds = fs::read_to_string(path.join(".builds")).unwrap().lines().count();
    // One save may be seen as two changes.
    assert!((3..=5).contains(&builds), "{builds} builds");
}

#[test]
fn a_manifest_that_is_a_link_is_followed_to_where_it_leads() {
    let folder = place();
    let mounted = folder.path().join("mounted");
    let put = |name: &str, lines: &str| {
        fs::create_dir_all(mounted.join(name)).unwrap();
        write_manifest(&mounted.join(name), &crate::harness::probe(lines));
    };
    put("..first", "version = \"1.0.0\"");
    symlink("..first", mounted.join("..data")).unwrap();
    symlink("..data/manifest.toml", mounted.join("manifest.toml")).unwrap();
    let mut run = archipel();
    run.arg("run").arg(mounted.join("manifest.toml")).arg("--watch");
    let host = Host::spawned(run, folder).map_err(|failed| failed.errors).unwrap();
    // As a kubelet does it: beside, then in one step. Twice, for the second finds other links.
    for (name, number) in [("..second", "2.0.0"), ("..third", "3.0.0")] {
        put(name, &format!("version = \"{number}\""));
        symlink(name, mounted.join("..data_tmp")).unwrap();
        fs::rename(mounted.join("..data_tmp"), mounted.join("..data")).unwrap();
        until("it is applied", || version(&host.get("/")).starts_with(number));
    }
}

#[test]
fn a_migration_that_is_saved_runs_and_a_wrong_one_changes_nothing() {
    let folder = place();
    fs::create_dir(folder.path().join("sql")).unwrap();
    fs::write(folder.path().join("sql/1.sql"), "create table items (name text not null);").unwrap();
    let manifest = "[postgres.shop]\nmigrations = \"sql\"\n\
                    [services.probe]\ncomponent = \"COMPONENTS/probe_pg.wasm\"\n\
                    permissions = { postgres = { shop = \"read-write\" } }\n\
                    [[routes]]\npath = \"/{*rest}\"\nservice = \"probe\"\npublic = true\n";
    let host = Host::start_as(folder, manifest, &["--watch"], &[]).map_err(|failed| failed.errors).unwrap();
    // In one step: a file that is empty for a moment is a migration, too.
    let save = |name: &str, sql: &str| {
        let whole = host.folder.path().join("whole");
        fs::write(&whole, sql).unwrap();
        fs::rename(whole, host.folder.path().join("sql").join(name)).unwrap();
    };
    let query = |sql: &str| host.json("POST", "/pg/query", &json!({ "database": "shop", "sql": sql })).json();
    let columns = "select count(*) from information_schema.columns where table_name = 'items'";
    assert_eq!(query(columns)["rows"], json!([[{ "int64": 1 }]]));

    save("2.sql", "alter table items add price");
    host.errors.expect_line("2.sql` failed");
    save("2.sql", "alter table items add price numeric(9, 2);");
    until("the migration has run", || query(columns)["rows"] == json!([[{ "int64": 2 }]]));
}
