//! The container's life without a container: what packaging/Dockerfile promises, by the same steps.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::{Command as Archipel, Connection, Host, archipel, components, place, probe};

/// Nobody has this id: there is no account, no group and no home.
const UID: &str = "54321";
const DATA: &str = "/var/lib/archipel";

/// What the dynamic linker loads for the binary: all of the image beside it.
fn libraries(binary: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(binary).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}

/// A root with nothing in it but the binary, its libraries, a manifest and its component. All is read-only but the
/// data folder; there is no shell, no `/dev`, no `/tmp`, no `/etc/passwd`.
fn image(manifest: &str) -> (tempfile::TempDir, Command) {
    let place = place();
    let root = place.path().join("root");
    let binary = PathBuf::from(archipel().get_program());
    let component = components().join("probe.wasm");
    let mut parts = vec![(binary.clone(), PathBuf::from("/archipel")), (component, "/srv/probe.wasm".into())];
    parts.extend(libraries(&binary).into_iter().map(|library| (library.clone(), library)));
    let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap());
    for folder in ["/proc", "/etc/archipel", DATA] {
        fs::create_dir_all(inside(Path::new(folder))).unwrap();
    }
    fs::write(inside(Path::new("/etc/archipel/manifest.toml")), manifest).unwrap();
    let mut steps = vec![format!("mount --rbind '{0}' '{0}'", root.display())];
    for (from, to) in &parts {
        let to = inside(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(&to, "").unwrap();
        steps.push(format!("mount --bind '{}' '{}'", from.display(), to.display()));
    }
    steps.push(format!("mount --rbind /proc '{}/proc'", root.display()));
    steps.push(format!("mount -t tmpfs -o mode=1777 tmpfs '{}{DATA}'", root.display()));
    steps.push(format!("mount -o remount,bind,ro '{}'", root.display()));
    let is_root = rustix::process::geteuid().is_root();
    let who = if is_root { format!("--userspec={UID}:{UID}") } else { String::new() };
    steps.push(format!(
        "exec env -i \"$(command -v chroot)\" {who} '{}' /archipel run /etc/archipel/manifest.toml",
        root.display()
    ));
    let mut run = Command::new("unshare");
    run.arg("--mount").args(if is_root { &[][..] } else { &["--user", "--map-root-user"] });
    run.args(["sh", "-c", &steps.join(" && ")]);
    fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
    (place, run)
}

#[test]
fn a_random_uid_on_a_read_only_root_without_home_passwd_or_shell_serves_over_ipv6() {
    let rest = probe("").replace("COMPONENTS", "/srv");
    let manifest = format!(
        "name = \"test\"\ngateway = {{ listen = \"[::1]:0\", limit = \"off\", hosts = [\"shop.test\"] }}\n\
         [admin]\nlisten = \"[::1]:0\"\n[host]\ndata = \"{DATA}\"\n{rest}"
    );
    let (place, run) = image(&manifest);
    let started = Host::spawned(run, place);
    let mut host = started.unwrap_or_else(|failed| panic!("{}\n{}", failed.errors, failed.log));
    let status = fs::read_to_string(format!("/proc/{}/status", host.id())).unwrap();
    if rustix::process::geteuid().is_root() {
        assert!(status.contains(&format!("Uid:\t{UID}\t{UID}")), "{status}");
    }
    let environment = fs::read(format!("/proc/{}/environ", host.id())).unwrap();
    assert!(environment.is_empty(), "{}", String::from_utf8_lossy(&environment));
    let mut connection = Connection::open(host.gateway);
    connection.write(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
    assert_eq!(connection.answer(false).expect("an answer").status, 200);
    // As the image's HEALTHCHECK does, whatever names the gateway answers for.
    let asked = Archipel::new(&["healthcheck", &host.gateway.to_string()]).done();
    assert_eq!(asked.code, 0, "{}", asked.errors);
    assert_eq!(host.get("/").status, 421, "no name of its own");
    host.signal("TERM");
    assert!(host.ended().success(), "{}", host.log.text());
}
