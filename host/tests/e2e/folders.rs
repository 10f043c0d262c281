//! Folders of this machine: what is granted works, nothing leads out of it, and nothing in it can hold
//! up the host.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
    process::Command as Process,
};

use tempfile::TempDir;

use crate::harness::{Host, archipel, place, upstream::quoted};

/// Two folders and a file beside them that nobody may see.
fn folders() -> TempDir {
    let place = place();
    for folder in ["templates", "uploads", "secret"] {
        fs::create_dir(place.path().join(folder)).unwrap();
    }
    fs::write(place.path().join("templates/page.html"), "hello").unwrap();
    fs::write(place.path().join("secret/key"), "canary").unwrap();
    place
}

const PERMISSIONS: &str = "read = [\"./templates\"], write = [{ host = \"./uploads\", guest = \"/up\" }]";

fn manifest(permissions: &str) -> String {
    format!(
        "[services.files]\ncomponent = \"COMPONENTS/probe_files.wasm\"\nlimits = {{ timeout = \"9s\" }}\n\
         permissions = {{ {permissions} }}\n[[routes]]\npath = \"/{{*rest}}\"\nservice = \"files\"\npublic = true\n"
    )
}

fn running(place: TempDir) -> Host {
    Host::running_in(place, &manifest(PERMISSIONS))
}

#[track_caller]
fn ask(host: &Host, what: &str, path: &str, more: &str) -> (u16, String) {
    let answer = host.get(&format!("/{what}?path={}{more}", quoted(path)));
    (answer.status, answer.text().trim().to_owned())
}

#[track_caller]
fn done(host: &Host, what: &str, path: &str, more: &str) -> String {
    let (status, text) = ask(host, what, path, more);
    assert_eq!(status, 200, "{what} {path}: {text}");
    text
}

#[track_caller]
fn refused(host: &Host, what: &str, path: &str, more: &str) -> String {
    let (status, text) = ask(host, what, path, more);
    assert_eq!(status, 403, "{what} {path}: {text}");
    text
}

#[test]
fn granted_folders_are_read_and_written_as_files_are() {
    let host = running(folders());
    for name in ["/templates/page.html", "templates/page.html"] {
        assert_eq!(done(&host, "read", name, ""), "hello");
    }
    done(&host, "write", "/up/a", "&text=0123456789&times=100000");
    assert_eq!(done(&host, "size", "/up/a", ""), "1000000");
    assert_eq!(done(&host, "read", "/up/a", "").len(), 1_000_000);
    done(&host, "truncate", "/up/a", "");
    done(&host, "append", "/up/a", "&text=abcdef");
    done(&host, "append", "/up/a", "&text=ghi");
    assert_eq!(done(&host, "patch", "/up/a", "&text=XY"), "abXYefghi");
    done(&host, "mkdir", "/up/inside", "");
    done(&host, "rename", "/up/a", "&to=%2Fup%2Finside%2Fb");
    assert_eq!(done(&host, "list", "/up", ""), "1 inside/");
    assert_eq!(fs::read_to_string(host.folder.path().join("uploads/inside/b")).unwrap(), "abXYefghi");
    done(&host, "remove", "/up/inside/b", "");
    assert!(host.report["services"][0].get("importedNotGranted").is_none(), "{}", host.report);
}

#[test]
fn a_folder_to_read_is_never_changed_and_the_log_names_the_line() {
    let host = running(folders());
    for (what, more) in [("write", ""), ("append", ""), ("truncate", ""), ("remove", ""), ("patch", "")] {
        assert!(refused(&host, what, "/templates/page.html", more).contains("PermissionDenied"), "{what}");
    }
    refused(&host, "mkdir", "/templates/new", "");
    refused(&host, "rename", "/templates/page.html", "&to=%2Fup%2Fmine");
    refused(&host, "hardlink", "/templates/page.html", "&to=%2Fup%2Fmine");
    refused(&host, "hardlink", "/up/none", "&to=%2Ftemplates%2Fmine");
    let templates = host.folder.path().join("templates");
    assert_eq!(fs::read_dir(&templates).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(templates.join("page.html")).unwrap(), "hello");
    let line = host.log.expect_line("it is there to be read only");
    assert!(line.contains("write = [") && line.contains("templates"), "{line}");
}

#[test]
fn nothing_leads_out_of_a_folder() {
    let place = folders();
    let at = |name: &str| place.path().join(name);
    symlink("../secret/key", at("uploads/relative")).unwrap();
    symlink(at("secret/key"), at("uploads/absolute")).unwrap();
    symlink("../secret", at("uploads/folder")).unwrap();
    symlink("/", at("uploads/root")).unwrap();
    symlink("/proc/self/root", at("uploads/magic")).unwrap();
    symlink("inside", at("uploads/fine")).unwrap();
    fs::write(at("uploads/inside"), "inside").unwrap();
    let host = running(place);
    assert_eq!(done(&host, "read", "/up/fine", ""), "inside", "a link within is followed");
    for path in [
        "/up/relative",
        "/up/absolute",
        "/up/folder/key",
        "/up/root/etc/passwd",
        "/up/magic/etc/passwd",
        "/up/../secret/key",
        "/up/../../../../etc/passwd",
        "/secret/key",
        "/etc/passwd",
        "../secret/key",
        "/up/inside/../../secret/key",
        "/templates/../secret/key",
        "/up//../secret/key",
        "/up/./../secret/key",
    ] {
        let told = refused(&host, "read", path, "");
        assert!(!told.contains("canary") && !told.contains("root:"), "{path}: {told}");
        refused(&host, "write", path, "");
        refused(&host, "append", path, "");
    }
    refused(&host, "rename", "/up/inside", "&to=%2Fup%2F..%2Fsecret%2Fmine");
    refused(&host, "hardlink", "/up/inside", "&to=%2Fup%2F..%2Fsecret%2Fmine");
    refused(&host, "mkdir", "/up/../made", "");
    let secret = host.folder.path().join("secret");
    assert_eq!(fs::read_to_string(secret.join("key")).unwrap(), "canary");
    assert_eq!(fs::read_dir(&secret).unwrap().count(), 1);
}

#[test]
fn a_hard_link_that_somebody_made_is_the_file_itself() {
    let place = folders();
    fs::hard_link(place.path().join("secret/key"), place.path().join("uploads/key")).unwrap();
    let host = running(place);
    assert_eq!(done(&host, "read", "/up/key", ""), "canary", "documented: whoever links it in, shows it");
}

fn pipe(path: &Path) {
    assert!(Process::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn pipes_sockets_and_devices_are_refused_at_once_and_hold_nobody_up() {
    let place = folders();
    pipe(&place.path().join("uploads/pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(place.path().join("uploads/socket")).unwrap();
    symlink("pipe", place.path().join("uploads/link")).unwrap();
    let host = running(place);
    // More often than there are places for file operations.
    for _ in 0..20 {
        for name in ["/up/pipe", "/up/link", "/up/socket"] {
            refused(&host, "read", name, "");
            refused(&host, "append", name, "");
        }
    }
    assert_eq!(done(&host, "read", "/templates/page.html", ""), "hello");
    let devices = Host::running_in(folders(), &manifest("read = [{ host = \"/dev\", guest = \"/dev\" }]"));
    for device in ["/dev/zero", "/dev/null", "/dev/tty"] {
        refused(&devices, "read", device, "");
    }
}

#[test]
fn a_folder_that_is_swapped_for_a_link_while_it_runs_stays_the_folder_it_was() {
    let host = running(folders());
    let at = |name: &str| host.folder.path().join(name);
    fs::rename(at("uploads"), at("moved")).unwrap();
    symlink(at("secret"), at("uploads")).unwrap();
    refused(&host, "read", "/up/key", "");
    done(&host, "write", "/up/new", "");
    assert!(at("moved/new").is_file() && !at("secret/new").exists());
}

/// A host for which `uploads` is a disk of 1 MiB, in a mount namespace of its own: the disk ends with it, and nobody
/// else sees it. An account that is not root may do so in a user namespace.
fn on_a_small_disk(place: TempDir) -> Host {
    let mut unshare = Process::new("unshare");
    unshare.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let mount = "mount -t tmpfs -o size=1m tmpfs \"$0\" && exec \"$@\"";
    unshare.args(["sh", "-c", mount]).arg(place.path().join("uploads")).arg(archipel().get_program());
    let started = Host::start_by(unshare, place, &manifest(PERMISSIONS), &[]);
    started.unwrap_or_else(|failed| panic!("a disk of 1 MiB, or a host on it: {}\n{}", failed.errors, failed.log))
}

#[test]
fn a_full_disk_is_the_guests_error_and_nobody_elses() {
    let host = on_a_small_disk(folders());
    // Rust's own library knows it as an error of the disk; the interface says which.
    let told = refused(&host, "fill", "/up/big", "");
    assert!(told.contains("I/O error"), "{told}");
    let told = refused(&host, "fill-raw", "/up/big", "");
    assert!(told.contains("insufficient-space"), "{told}");
    assert_eq!(done(&host, "remove", "/up/big", ""), "removed");
    assert_eq!(done(&host, "write", "/up/small", ""), "written");
}

#[test]
fn a_name_that_is_no_utf8_is_left_out_and_the_others_are_listed() {
    let place = folders();
    for name in [b"plain".as_slice(), b"\xff\xfe", b"caf\xe9", "über".as_bytes()] {
        fs::write(place.path().join("uploads").join(OsStr::from_bytes(name)), "").unwrap();
    }
    for number in 0..1000 {
        fs::write(place.path().join(format!("templates/{number}")), "").unwrap();
    }
    let host = running(place);
    assert_eq!(done(&host, "list", "/up", ""), "2 plain über");
    assert!(done(&host, "list", "/templates", "").starts_with("1001 "));
}

#[test]
fn a_service_opens_only_so_many_files_at_once_and_gives_them_back() {
    let host = running(folders());
    for _ in 0..2 {
        let told = done(&host, "hold", "/templates/page.html", "&times=500");
        let count: usize = told.split(' ').next().unwrap().parse().unwrap();
        assert!((200..=256).contains(&count), "{told}");
    }
}

#[test]
fn a_manifest_with_a_folder_that_may_not_be_seen_is_refused_with_a_reason() {
    for (permissions, says) in [
        ("read = [\"./none\"]", "make the folder"),
        ("read = [\"./templates/page.html\"]", "is no folder"),
        ("read = [\"./link\"]", "is a symlink"),
        ("write = [\".\"]", "holds the manifest"),
        ("read = [\"/\"]", "holds the manifest"),
        ("write = [\"./.archipel\"]", "overlaps `host.data`"),
        ("read = [\"./templates\", { host = \"./uploads\", guest = \"/templates\" }]", "second folder"),
        ("read = [{ host = \"./templates\", guest = \"/a/../b\" }]", "no name of a folder"),
        ("read = [{ host = \"COMPONENTS\", guest = \"/c\" }]", "holds the component"),
    ] {
        let place = folders();
        fs::create_dir(place.path().join(".archipel")).unwrap();
        symlink("templates", place.path().join("link")).unwrap();
        let failed =
            Host::start(place, &manifest(permissions)).err().unwrap_or_else(|| panic!("{permissions} started"));
        assert!(failed.errors.contains(says), "{permissions}: {}", failed.errors);
    }
}
