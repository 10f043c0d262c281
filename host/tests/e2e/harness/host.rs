//! `archipel run` with a manifest made for one test, on free ports, with data of its own.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, exchange, log::Log};

/// More than a drain may take by default.
const PATIENCE: Duration = Duration::from_secs(60);
/// Compiling a component of 20 MB takes twelve seconds of CPU, beside all the other tests.
const START_PATIENCE: Duration = Duration::from_secs(180);

/// A running host; ended with the test.
pub struct Host {
    child: Child,
    pub gateway: SocketAddr,
    pub admin: SocketAddr,
    pub log: Log,
    pub errors: Log,
    /// What it printed when it was ready.
    pub report: Value,
    pub folder: TempDir,
    /// What `get`, `send` and `json` say in `Authorization`, unless they are told what to say.
    authorization: Option<String>,
}

/// The folder of the components that `just build` made.
pub fn components() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/target/wasm32-wasip2/release");
    assert!(built.join("hello.wasm").is_file(), "no components in {}: run `just build` first", built.display());
    built.canonicalize().unwrap()
}

/// A component that `just foreign` made.
#[track_caller]
pub fn foreign(name: &str) -> String {
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/foreign").join(name).with_extension("wasm");
    assert!(component.is_file(), "no {}: run `just foreign` first", component.display());
    component.display().to_string()
}

/// A service in TypeScript that `just foreign` made: for StarlingMonkey, or with `ARCHIPEL_ENGINE=quick` for the quick
/// engine. The same sources, so the same promises hold.
#[track_caller]
pub fn in_typescript(name: &str) -> String {
    if by_quick_engine() { foreign(&format!("{name}_quick")) } else { foreign(name) }
}

/// Whether services in TypeScript run on the quick engine.
#[track_caller]
pub fn by_quick_engine() -> bool {
    match std::env::var("ARCHIPEL_ENGINE").as_deref() {
        Ok("quick") => true,
        Ok(other) => panic!("ARCHIPEL_ENGINE is `{other}`; there is `quick`"),
        Err(_) => false,
    }
}

/// Whether the test guests are those behind the quick door and no other, which send by the quick client: the same
/// behaviours by plain values, so the same promises hold, but for what a stream is needed for.
pub fn by_quick_door() -> bool {
    std::env::var("ARCHIPEL_DOOR").is_ok_and(|door| door == "quick")
}

/// The manifest of [`Host::probe`].
pub fn probe(lines: &str) -> String {
    format!(
        "[services.probe]\ncomponent = \"COMPONENTS/probe.wasm\"\n{lines}\n[[routes]]\npath = \"/{{*rest}}\"\nservice = \"probe\"\npublic = true\n"
    )
}

impl Host {
    /// Starts a host whose manifest has `rest` after the addresses, and waits until it is ready.
    /// `COMPONENTS` in `rest` stands for the folder of the built components.
    #[track_caller]
    pub fn running(rest: &str) -> Self {
        Self::running_in(place(), rest)
    }

    /// The same in a folder that is there already: its data is found again.
    #[track_caller]
    pub fn running_in(folder: TempDir, rest: &str) -> Self {
        match Self::start(folder, rest) {
            Ok(host) => host,
            Err(failed) => panic!("the host did not start: {}\n{}\n{}", failed.status, failed.errors, failed.log),
        }
    }

    /// A service `probe` with these lines in its table, behind every path, public.
    #[track_caller]
    pub fn probe(lines: &str) -> Self {
        Self::running(&probe(lines))
    }

    pub fn start(folder: TempDir, rest: &str) -> Result<Self, Failed> {
        Self::start_with(folder, rest, &[])
    }

    /// The same with these variables in the host's environment.
    pub fn start_with(folder: TempDir, rest: &str, environment: &[(&str, &str)]) -> Result<Self, Failed> {
        Self::start_as(folder, rest, &[], environment)
    }

    /// The same with these arguments, too.
    pub fn start_as(
        folder: TempDir,
        rest: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, Failed> {
        let mut run = archipel();
        run.envs(environment.iter().copied());
        Self::start_by(run, folder, rest, arguments)
    }

    /// The same by a command that starts what it is given as arguments.
    pub fn start_by(mut run: Command, folder: TempDir, rest: &str, arguments: &[&str]) -> Result<Self, Failed> {
        let manifest = write_manifest(folder.path(), rest);
        run.arg("run").arg(manifest).args(arguments);
        Self::spawned(run, folder)
    }

    /// The host of this folder once more, with the manifest that is there.
    #[track_caller]
    pub fn spawned_again(folder: TempDir) -> Self {
        let mut run = archipel();
        run.arg("run").arg(folder.path().join("manifest.toml"));
        Self::spawned(run, folder).unwrap_or_else(|failed| panic!("{}\n{}", failed.errors, failed.log))
    }

    /// The same by any command that runs a host with the manifest in `folder`.
    pub fn spawned(mut run: Command, folder: TempDir) -> Result<Self, Failed> {
        run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = run.spawn().unwrap();
        let log = Log::follow(child.stdout.take().unwrap());
        let errors = Log::follow(child.stderr.take().unwrap());
        let ready = |line: &str| serde_json::from_str::<Value>(line).ok().filter(|line| line["listening"].is_object());
        let Some(report) = log.find_within(START_PATIENCE, ready) else {
            let status = child.try_wait().unwrap().unwrap_or_else(|| {
                child.kill().unwrap();
                wait(&mut child)
            });
            let (errors, log) = (errors.ended(), log.ended());
            let json = serde_json::from_str(&log).ok();
            return Err(Failed { status, errors, log, json, folder });
        };
        let address = |value: &Value| value.as_str().unwrap().parse().unwrap();
        Ok(Self {
            gateway: address(&report["listening"]["gateway"][0]),
            admin: address(&report["listening"]["admin"]),
            child,
            log,
            errors,
            report,
            folder,
            authorization: None,
        })
    }

    /// The same host, asked by its operator from now on: with a token of the role `admin`.
    #[track_caller]
    pub fn for_admin(mut self) -> Self {
        self.authorization = Some(format!("Bearer {}", self.token("operator", &["admin"])));
        self
    }

    /// A token of this host's `[auth.main]`, as an operator makes one.
    #[track_caller]
    pub fn token(&self, subject: &str, roles: &[&str]) -> String {
        let manifest = self.folder.path().join("manifest.toml");
        let mut arguments = vec!["token", "sign", manifest.to_str().unwrap(), "--sub", subject, "--ttl", "1h"];
        arguments.extend(roles.iter().flat_map(|role| ["--role", role]));
        let done = super::Command::new(&arguments).done();
        assert_eq!(done.code, 0, "{}", done.errors);
        done.output.trim_end().to_owned()
    }

    /// These headers and the host's own `Authorization`, unless they have one.
    pub fn signed<'a>(&'a self, headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.authorization.as_deref().filter(|_| headers.iter().all(|(name, _)| *name != "authorization"));
        headers.iter().copied().chain(own.map(|own| ("authorization", own))).collect()
    }

    /// A GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        exchange(self.gateway, method, path, &self.signed(headers), body)
    }

    #[track_caller]
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Memory that the process holds now.
    pub fn memory_mib(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most that it has ever held.
    pub fn memory_peak_mib(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// CPU time that the process has used, in hundredths of a second.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Sends a signal by name (`TERM`, `KILL`).
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    /// Where it keeps everything, unless its manifest says otherwise.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join(".archipel")
    }

    /// Kills the host as a power cut would, and gives back its folder.
    #[track_caller]
    pub fn killed(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.ended();
        std::mem::replace(&mut self.folder, place())
    }

    /// Ends the host in order and gives back its folder, for a second start.
    #[track_caller]
    pub fn stop(mut self) -> TempDir {
        self.signal("TERM");
        assert!(self.ended().success(), "stopped in order");
        std::mem::replace(&mut self.folder, place())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal("TERM");
            wait(&mut self.child);
        }
    }
}

/// A host that ended instead of becoming ready.
pub struct Failed {
    pub status: ExitStatus,
    pub errors: String,
    pub log: String,
    /// Its standard output, where that was one JSON document.
    pub json: Option<Value>,
    pub folder: TempDir,
}

/// A folder that the account of a private server can pass through.
pub fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o711)).unwrap();
    place
}

/// The binary, with an environment of its own. `ARCHIPEL_PROGRAM` names another one, such as a release build.
pub fn archipel() -> Command {
    let program = std::env::var_os("ARCHIPEL_PROGRAM");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_archipel").into()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("CANARY", "canary-of-the-hosts-environment");
    command
}

/// A gateway without a limit of its own, unless the test writes one: all tests come from one
/// address, and most of them ask more than 100 times a minute.
pub fn write_manifest(folder: &Path, rest: &str) -> PathBuf {
    let rest = match by_quick_door() {
        true => rest.replace("/probe.wasm", "/probe_quick.wasm").replace("/probe_net.wasm", "/probe_client.wasm"),
        false => rest.to_owned(),
    };
    let rest = rest.replace("COMPONENTS", components().to_str().unwrap());
    let is_limited = rest.lines().any(|line| line.starts_with("limit = "));
    let rest = match is_limited {
        true => rest,
        false => rest.replacen("[gateway]\n", "[gateway]\nlimit = \"off\"\n", 1),
    };
    let head = match rest.contains("[gateway]") {
        true => "",
        false => "gateway = { listen = \"127.0.0.1:0\", limit = \"off\" }\n\n",
    };
    let text = format!("name = \"test\"\n{head}[admin]\nlisten = \"127.0.0.1:0\"\n{rest}");
    let file = folder.join("manifest.toml");
    fs::write(&file, text).unwrap();
    file
}

/// The processes that this one has started, and that somebody has still to wait for.
pub fn children(of: u32) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_child = |pid: &String| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may hold anything: the state, and who started it.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parent == Some(of)
    };
    entries.filter(is_child).collect()
}

/// Whether the process goes on; one that nobody has waited for yet does not.
pub fn is_running(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[track_caller]
pub fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the host did not end within {PATIENCE:?}");
        }
        // The one place that polls: a process has no condition to wait on.
        thread::park_timeout(Duration::from_millis(5));
    }
}
