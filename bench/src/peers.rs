//! The peers that are installed, how each is told to say hello or to hand on, and their versions.
//!
//! Nobody is installed here: `scripts/setup.sh peers` does that. What is not there is left out.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::cores::Cores;

/// Where distributions have servers, besides PATH.
const SYSTEM_FOLDERS: &[&str] = &["/usr/sbin", "/usr/local/sbin"];

/// Clients of PostgreSQL that the peers' users service may have, as npm calls them.
const CLIENTS: [&str; 2] = ["pg", "postgres"];

/// A peer in one of its ways to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Nginx,
    NginxProxy,
    Haproxy,
    DenoServe,
    DenoOak,
    NodeHttp,
    WasmtimeFresh,
    WasmtimeWarm,
    Wash,
}

/// What it is told.
pub(crate) struct Place<'a> {
    pub(crate) listen: SocketAddr,
    /// The server that a proxy hands on to.
    pub(crate) behind: SocketAddr,
    /// Its own.
    pub(crate) folder: &'a Path,
    pub(crate) cores: &'a Cores,
    /// What it answers with.
    pub(crate) body: &'a str,
    /// What a host of components serves.
    pub(crate) component: &'a Path,
}

/// A folder of peers, and what the system has.
pub(crate) struct Peers {
    folder: PathBuf,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::NginxProxy => "nginx, proxy",
            Self::Haproxy => "HAProxy, proxy",
            Self::DenoServe => "Deno.serve",
            Self::DenoOak => "Deno + Oak",
            Self::NodeHttp => "Node http",
            Self::WasmtimeFresh => "wasmtime serve, fresh",
            Self::WasmtimeWarm => "wasmtime serve, reused",
            Self::Wash => "wash dev",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Nginx | Self::NginxProxy => "nginx",
            Self::Haproxy => "haproxy",
            Self::DenoServe | Self::DenoOak => "deno",
            Self::NodeHttp => "node",
            Self::WasmtimeFresh | Self::WasmtimeWarm => "wasmtime",
            Self::Wash => "wash",
        }
    }
}

impl Peers {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()) }
    }

    /// A program of the folder, of PATH or of the system.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = [self.folder.join("bin")].into_iter().chain(std::env::split_paths(&path));
        let places = places.chain(SYSTEM_FOLDERS.iter().map(PathBuf::from));
        places.map(|folder| folder.join(name)).find(|program| program.is_file())
    }

    /// Whether `peer` is installed.
    pub(crate) fn has(&self, peer: Peer) -> bool {
        self.program(peer.program()).is_some() && (peer != Peer::DenoOak || self.oak().is_dir())
    }

    fn oak(&self) -> PathBuf {
        self.folder.join("oak")
    }

    /// How `peer` is started; nothing when it is not installed.
    pub(crate) fn command(&self, peer: Peer, place: &Place<'_>) -> anyhow::Result<Option<Command>> {
        let Some(program) = self.program(peer.program()).filter(|_| self.has(peer)) else {
            return Ok(None);
        };
        let mut command = place.cores.server_command(&program);
        command.current_dir(place.folder).env("HOME", place.folder);
        match peer {
            Peer::Nginx => nginx(&mut command, place, &format!("return 200 \"{}\";", place.body.replace('\n', "\\n")))?,
            Peer::NginxProxy => {
                let hand_on = "proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection \"\";";
                nginx(&mut command, place, hand_on)?;
            }
            Peer::Haproxy => {
                let file = place.file("haproxy.cfg", include_str!("../peers/haproxy.cfg"), "")?;
                command.arg("-f").arg(file);
            }
            Peer::DenoServe => {
                let script = place.file("serve.ts", include_str!("../peers/serve.ts"), "")?;
                deno(&mut command, place).arg(script);
            }
            Peer::DenoOak => self.oak_app(&mut command, place, include_str!("../peers/oak.ts"))?,
            Peer::NodeHttp => {
                let script = place.file("http.mjs", include_str!("../peers/http.mjs"), "")?;
                command.arg(script).env("PORT", place.listen.port().to_string()).env("BODY", place.body);
            }
            Peer::WasmtimeFresh => wasmtime(&mut command, place, 1),
            Peer::WasmtimeWarm => wasmtime(&mut command, place, 128),
            Peer::Wash => {
                wash(place)?;
                command.arg("-C").arg(place.folder);
                command.args(["--non-interactive", "-l", "error", "--meters", "off", "dev"]);
            }
        }
        Ok(Some(command))
    }

    /// A user by id out of a PostgreSQL, by Deno and Oak; nothing where they or the clients of PostgreSQL are not
    /// installed.
    pub(crate) fn users(&self, place: &Place<'_>) -> anyhow::Result<Option<Command>> {
        let modules = self.folder.join("npm/node_modules");
        let Some(program) = self.program("deno").filter(|_| self.has(Peer::DenoOak)) else {
            return Ok(None);
        };
        if !CLIENTS.iter().all(|client| modules.join(client).is_dir()) {
            return Ok(None);
        }
        let mut command = place.cores.server_command(&program);
        command.current_dir(place.folder).env("HOME", place.folder).env("MODULES", modules);
        self.oak_app(&mut command, place, include_str!("../peers/users.ts"))?;
        Ok(Some(command))
    }

    fn oak_app(&self, command: &mut Command, place: &Place<'_>, script: &str) -> anyhow::Result<()> {
        let globals = place.file("globals.mjs", include_str!("../peers/globals.mjs"), "")?;
        let map = place.file("map.json", &import_map(&self.oak(), &globals), "")?;
        let script = place.file("app.ts", script, "")?;
        // Deno wants the right to write for a socket in the file system.
        let rights = ["--allow-read", "--allow-write", "--allow-sys"];
        deno(command, place).args(rights).arg("--import-map").arg(map).arg(script);
        Ok(())
    }

    /// Of those that are installed.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        let said = |name, flag| self.program(name).and_then(|program| version(&program, flag));
        let programs = [("nginx", "-v"), ("haproxy", "-v"), ("deno", "--version"), ("node", "--version")];
        let hosts = [("wasmtime", "--version"), ("wash", "--version")];
        let found = programs.into_iter().chain(hosts);
        let found = found.filter_map(|(name, flag)| Some((name.to_owned(), said(name, flag)?)));
        let oak = fs::read_to_string(self.oak().join("version")).ok();
        let oak = oak.map(|version| ("oak".to_owned(), version.trim().to_owned()));
        found.chain(oak).chain([("hyper".to_owned(), hyper().unwrap_or_default())]).collect()
    }
}

impl Place<'_> {
    /// A file of its own, filled in.
    fn file(&self, name: &str, text: &str, answer: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.to_str().context("a folder is not UTF-8")?;
        let text = text
            .replace("@listen@", &self.listen.to_string())
            .replace("@behind@", &self.behind.to_string())
            .replace("@threads@", &self.cores.count().to_string())
            .replace("@folder@", folder)
            .replace("@answer@", answer);
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

fn nginx(command: &mut Command, place: &Place<'_>, answer: &str) -> anyhow::Result<()> {
    let file = place.file("nginx.conf", include_str!("../peers/nginx.conf"), answer)?;
    command.arg("-e").arg("stderr").arg("-p").arg(place.folder).arg("-c").arg(file);
    Ok(())
}

fn deno<'a>(command: &'a mut Command, place: &Place<'_>) -> &'a mut Command {
    command
        .env("DENO_DIR", place.folder.join("deno"))
        .env("DENO_NO_UPDATE_CHECK", "1")
        .env("PORT", place.listen.port().to_string())
        .env("BODY", place.body)
        .args(["run", "--no-check", "--no-config", "--no-lock", "--no-prompt", "--allow-net", "--allow-env"])
}

/// Oak's npm build with Deno's own globals in the place of its shims of them.
fn import_map(oak: &Path, globals: &Path) -> String {
    let url = |path: &Path, end: &str| format!("file://{}{end}", path.display());
    let shims = ["@deno/shim-deno", "@deno/shim-crypto", "undici"].map(|shim| (shim.to_owned(), url(globals, "")));
    let imports: BTreeMap<String, String> = shims.into_iter().chain([("oak/".to_owned(), url(oak, "/"))]).collect();
    serde_json::json!({ "imports": imports }).to_string()
}

fn wasmtime(command: &mut Command, place: &Place<'_>, requests: u32) {
    command.args(["serve", "-S", "cli", "--addr", &place.listen.to_string()]);
    command.args(["--max-instance-reuse-count", &requests.to_string()]).arg(place.component);
}

/// A project whose component is there already.
fn wash(place: &Place<'_>) -> anyhow::Result<()> {
    let folder = place.folder.join(".wash");
    fs::create_dir_all(&folder)?;
    let component = place.component.display();
    let text =
        format!("build:\n  command: \"true\"\n  component_path: {component}\ndev:\n  address: {}\n", place.listen);
    fs::write(folder.join("config.yaml"), text)?;
    Ok(())
}

/// The first word with a digit and a dot of what it says about itself, on whichever channel.
fn version(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    version_in(&text)
}

fn version_in(text: &str) -> Option<String> {
    let words = text.split([' ', '/', '\n', '(', ')']).map(|word| word.trim_start_matches('v'));
    words
        .into_iter()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
        .map(str::to_owned)
}

/// Of the native peer, which is part of this program.
fn hyper() -> Option<String> {
    let lock: toml::Table = include_str!("../../Cargo.lock").parse().ok()?;
    let packages = lock.get("package")?.as_array()?;
    let hyper = packages.iter().find(|package| package["name"].as_str() == Some("hyper"))?;
    hyper["version"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cores::Machine;

    #[test]
    fn a_version_is_found_in_what_each_says() {
        check("nginx version: nginx/1.22.1", "1.22.1");
        check("HAProxy version 2.6.12-1+deb12u3 2025/10/03 - https://haproxy.org/", "2.6.12-1+deb12u3");
        check("deno 2.9.6 (stable, release, x86_64-unknown-linux-gnu)\nv8 15.0.245.2-rusty", "2.9.6");
        check("v20.20.2\n", "20.20.2");
        check("wasmtime 49.0.3 (f96eabaa1 2026-10-14)", "49.0.3");
        assert_eq!(version_in("no idea"), None);
        assert!(hyper().is_some_and(|version| version.starts_with("1.")));
    }

    #[track_caller]
    fn check(text: &str, version: &str) {
        assert_eq!(version_in(text).as_deref(), Some(version));
    }

    #[test]
    fn a_peer_that_is_not_installed_is_no_command_and_one_that_is_gets_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let at: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let cores = Machine::new().split(1);
        let (place, peers) = (
            Place {
                listen: at,
                behind: "127.0.0.1:5000".parse().unwrap(),
                folder: folder.path(),
                cores: &cores,
                body: "hello\n",
                component: Path::new("/hello.wasm"),
            },
            Peers::new(folder.path()),
        );
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::write(folder.path().join("bin/deno"), "").unwrap();
        assert!(peers.command(Peer::DenoOak, &place).unwrap().is_none(), "without Oak there is none");
        assert!(peers.command(Peer::DenoServe, &place).unwrap().is_some());
        fs::create_dir(folder.path().join("oak")).unwrap();
        assert!(peers.command(Peer::DenoOak, &place).unwrap().is_some());
        assert!(peers.users(&place).unwrap().is_none(), "without a client of PostgreSQL there are no users");
        for client in CLIENTS {
            fs::create_dir_all(folder.path().join("npm/node_modules").join(client)).unwrap();
        }
        assert!(peers.users(&place).unwrap().is_some());
        fs::write(folder.path().join("bin/nginx"), "").unwrap();
        assert!(peers.command(Peer::Nginx, &place).unwrap().is_some());
        let conf = fs::read_to_string(folder.path().join("nginx.conf")).unwrap();
        assert!(conf.contains("listen 127.0.0.1:4000") && conf.contains(r#"return 200 "hello\n";"#), "{conf}");
        let filled = conf.lines().filter(|line| !line.starts_with('#'));
        assert!(filled.clone().count() > 9 && filled.into_iter().all(|line| !line.contains('@')), "{conf}");
    }

    #[test]
    fn oak_gets_the_real_globals() {
        let map: serde_json::Value = serde_json::from_str(&import_map(Path::new("/oak"), Path::new("/g.mjs"))).unwrap();
        assert_eq!(map["imports"]["oak/"], "file:///oak/");
        assert_eq!(map["imports"]["undici"], "file:///g.mjs");
    }
}
