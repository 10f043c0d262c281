//! `run --watch`: what is edited is built and swapped in.

use std::{fs, path::Path, thread};

use crate::{
    harness::{
        Connection, Host,
        admin::{build, wasm},
        place, write_manifest,
    },
    swap::{until, version},
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

    write_manifest(&path, &[service("one", "version = \"2.0.0\""), service("two", "")].concat());
    until("the manifest is applied", || live(&host, "one").starts_with("2.0.0+").then_some(()));
    host.errors.expect_line("the manifest runs as it is now: one changed");
    write_manifest(&path, "[hots]\n");
    host.errors.expect_line("hots");
    assert!(live(&host, "one").starts_with("2.0.0+"));
}
