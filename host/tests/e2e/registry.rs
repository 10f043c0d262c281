//! Components in a registry: pushed, pulled, pinned, and there when the registry is not.

mod signed;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Answer, Command as Archipel, Host,
    admin::{build, wasm},
    free, place, until, write_manifest,
};

/// `me`, and the password `tea-and-toast`.
const USERS: &str = "me:$2b$04$BmMHwDoigUhfkPo7LveMPOa281E7cqPpieWYlCHhaFDniby9XuER.\n";
const LOGIN: &str = "bWU6dGVhLWFuZC10b2FzdA==";

/// Debian's own, with a user.
struct Registry {
    child: Option<Child>,
    address: String,
    folder: TempDir,
}

impl Registry {
    fn start() -> Self {
        let folder = place();
        let mut registry = Self { child: None, address: free().to_string(), folder };
        registry.start_again();
        // What `docker login` writes.
        let config = json!({ "auths": { &registry.address: { "auth": LOGIN } } });
        fs::write(registry.docker().join("config.json"), config.to_string()).unwrap();
        registry
    }

    fn docker(&self) -> &Path {
        self.folder.path()
    }

    fn start_again(&mut self) {
        let folder = self.folder.path().display();
        let config = self.folder.path().join("registry.json");
        fs::write(self.folder.path().join("users"), USERS).unwrap();
        let settings = json!({
            "version": 0.1,
            "log": { "level": "info" },
            "storage": { "filesystem": { "rootdirectory": format!("{folder}/images") } },
            "http": { "addr": self.address },
            "auth": { "htpasswd": { "realm": "test", "path": format!("{folder}/users") } },
        });
        fs::write(&config, settings.to_string()).unwrap();
        let mut serve = Command::new("docker-registry");
        serve.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        let child = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("a registry is installed by `scripts/setup.sh registry`");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            let at = line.split_once("listening on ")?.1;
            Some(at.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':'))).next()?.to_owned())
        });
        self.address = listening.expect("it says where it listens");
        // Nobody reads on otherwise, and it would stand still.
        thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn command(&self, arguments: &[&str]) -> Archipel {
        Archipel::with(arguments, &[("DOCKER_CONFIG", self.docker().to_str().unwrap())])
    }

    /// Pushed by the command; what pins it.
    #[track_caller]
    fn push(&self, wasm: &[u8], tag: &str) -> String {
        let file = self.folder.path().join("pushed.wasm");
        fs::write(&file, wasm).unwrap();
        let told = self.command(&["push", file.to_str().unwrap(), &self.image(tag)]).json();
        told["pinned"].as_str().unwrap().to_owned()
    }

    fn image(&self, tag: &str) -> String {
        format!("oci://{}/shop/hello:{tag}", self.address)
    }

    fn host(&self, folder: TempDir, component: &str) -> Host {
        let environment = [("DOCKER_CONFIG", self.docker().to_str().unwrap())];
        match Host::start_with(folder, &manifest(component), &environment) {
            Ok(host) => host,
            Err(failed) => panic!("{}{}", failed.errors, failed.log),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn manifest(component: &str) -> String {
    format!(
        "[services.hello]\ncomponent = \"{component}\"\n[[routes]]\npath = \"/\"\nservice = \"hello\"\npublic = true\n"
    )
}

#[track_caller]
fn answers(host: &Host) -> String {
    let answer = host.get("/");
    assert_eq!((answer.status, answer.text()), (200, "hello from archipel\n".to_owned()));
    answer.header("x-service-version").unwrap().to_owned()
}

fn applied(host: &Host, component: &str) -> Answer {
    let file = write_manifest(host.folder.path(), &manifest(component));
    host.apply(&fs::read_to_string(file).unwrap())
}

fn reload(host: &Host) -> Value {
    host.command(&["reload"]).json()
}

#[test]
fn what_is_pushed_is_pulled_the_same_and_only_by_who_may() {
    let registry = Registry::start();
    let (hello, image) = (wasm("hello"), registry.image("1"));
    let pinned = registry.push(&hello, "1");
    assert_eq!(registry.push(&hello, "1"), pinned, "the same again is the same");
    let file = registry.folder.path().join("pulled.wasm");
    for from in [&image, &pinned] {
        let told = registry.command(&["pull", from, file.to_str().unwrap()]).json();
        assert_eq!((told["pinned"].as_str(), fs::read(&file).unwrap()), (Some(&*pinned), hello.clone()));
        fs::remove_file(&file).unwrap();
    }
    let refused = |config: &str, from: &str| {
        let arguments = ["pull", from, file.to_str().unwrap()];
        let refused = Archipel::with(&arguments, &[("DOCKER_CONFIG", config)]).refused();
        assert!(!file.exists());
        refused
    };
    let ours = registry.docker().to_str().unwrap();
    for (config, from, says) in [
        ("/nowhere", &image, "docker login"),
        (ours, &registry.image("2"), "there is no"),
        (ours, &format!("{}00", &pinned[..pinned.len() - 2]), "there is no"),
    ] {
        let told = refused(config, from);
        assert!(told.contains(says) && !told.contains("tea-and-toast") && !told.contains(LOGIN), "{told}");
    }
}

#[test]
fn a_tag_is_pinned_until_the_manifest_is_applied_and_a_registry_that_is_away_stops_no_start() {
    let mut registry = Registry::start();
    let (hello, image) = (wasm("hello"), registry.image("stable"));
    registry.push(&hello, "stable");
    let host = registry.host(place(), &image);
    let first = answers(&host);
    let status = host.admin("GET", "/v1/services/hello", b"").json()["data"].clone();
    assert_eq!(status["component"], json!(image));

    // The tag moves, and nothing happens until somebody wants it.
    let second_pin = registry.push(&build(&hello, 2), "stable");
    let host = registry.host(host.stop(), &image);
    assert_eq!(answers(&host), first);
    assert_eq!(reload(&host)["services"][0]["change"], "changed");
    let second = answers(&host);
    assert_ne!(second, first);

    registry.stop();
    let host = registry.host(host.stop(), &image);
    assert_eq!(answers(&host), second);
    assert_eq!(reload(&host)["services"][0]["change"], "kept");
    host.log.expect_line("cannot ask what a tag stands for now");
    let other = applied(&host, &registry.image("other"));
    assert_eq!(other.status, 409, "{}", other.text());
    assert!(other.text().contains("cannot reach"), "{}", other.text());
    assert_eq!(answers(&host), second);

    // By digest, it is one thing for ever; what nobody names any more is kept no longer.
    registry.start_again();
    assert_eq!(applied(&host, &second_pin).status, 200);
    assert_eq!(answers(&host), second);
    let pulled = host.data().join("pulled");
    until("one component left", || {
        fs::read_dir(&pulled)
            .unwrap()
            .filter(|file| file.as_ref().unwrap().path().extension() == Some("wasm".as_ref()))
            .count()
            == 1
    });
}

#[test]
fn check_says_what_is_not_here_and_pull_brings_it() {
    let registry = Registry::start();
    registry.push(&wasm("hello"), "1");
    let folder = place();
    let file = write_manifest(folder.path(), &manifest(&registry.image("1")));
    let file = file.to_str().unwrap();
    let refused = registry.command(&["check", file]).refused();
    assert!(refused.contains("is not here") && refused.contains("archipel pull"), "{refused}");
    let pulled = registry.command(&["pull", file]).json();
    assert_eq!((&pulled[0]["service"], &pulled[0]["fetched"]), (&json!("hello"), &json!(true)));
    assert_eq!(registry.command(&["pull", file]).json()[0]["fetched"], json!(false));
    assert_eq!(registry.command(&["check", file]).done().code, 0);
}
