//! Which processors the servers get and which the load gets, so that neither disturbs the other.

use std::{fmt, fs, path::Path, process::Command};

use anyhow::ensure;

/// The processors that this program may use, read before it pins itself.
#[derive(Clone)]
pub(crate) struct Machine {
    allowed: Vec<u32>,
    /// Whether processes can be pinned at all.
    pins: bool,
}

/// How a run is laid out over the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cores {
    servers: Vec<u32>,
    load: Vec<u32>,
    /// Why load and servers are not kept apart, where they are not.
    shared: Option<&'static str>,
    pins: bool,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let allowed = list.map(|list| expand(list.trim())).unwrap_or_default();
        Self { pins: Command::new("taskset").arg("--version").output().is_ok(), allowed }
    }

    pub(crate) fn processors(&self) -> usize {
        self.allowed.len()
    }

    /// The first `servers` processors for the servers, the others for the load and for databases;
    /// everybody everywhere where there are not enough.
    pub(crate) fn split(&self, servers: usize) -> Cores {
        let all = || self.allowed.clone();
        let shared = |because, pins| Cores { servers: all(), load: all(), shared: Some(because), pins };
        match self.allowed.split_at_checked(servers) {
            _ if self.allowed.is_empty() => shared("the system does not name its processors", false),
            _ if !self.pins => shared("`taskset` is missing (package util-linux)", false),
            Some((servers, load @ [_, ..])) => {
                Cores { servers: servers.to_vec(), load: load.to_vec(), shared: None, pins: true }
            }
            _ => shared("there are no more processors", true),
        }
    }
}

impl Cores {
    /// How many processors the servers have.
    pub(crate) fn count(&self) -> usize {
        self.servers.len().max(1)
    }

    /// Moves this process to the load's processors.
    pub(crate) fn pin_load(&self) -> anyhow::Result<()> {
        self.beside(&[std::process::id()])
    }

    /// Moves running processes to the load's processors.
    pub(crate) fn beside(&self, pids: &[u32]) -> anyhow::Result<()> {
        for pid in pids.iter().filter(|_| self.pins) {
            let output = Command::new("taskset").args(["-acp", &list(&self.load), &pid.to_string()]).output()?;
            let gone = !Path::new("/proc").join(pid.to_string()).exists();
            ensure!(output.status.success() || gone, "taskset cannot pin process {pid} to {}", list(&self.load));
        }
        Ok(())
    }

    /// A command that runs `program` where servers run.
    pub(crate) fn server_command(&self, program: &Path) -> Command {
        self.pinned(&self.servers, program)
    }

    /// A command that runs `program` where the load runs: for what is needed, and not measured.
    pub(crate) fn beside_command(&self, program: &Path) -> Command {
        self.pinned(&self.load, program)
    }

    fn pinned(&self, to: &[u32], program: &Path) -> Command {
        if !self.pins {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", &list(to)]).arg(program);
        command
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shared {
            None => {
                write!(f, "servers on processor {}, load and databases on {}", list(&self.servers), list(&self.load))
            }
            Some(because) => {
                write!(f, "servers and load not kept apart on {} processors: {because}", self.servers.len())
            }
        }
    }
}

/// As `taskset -c` reads it.
fn list(processors: &[u32]) -> String {
    processors.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// `0-2,5` is 0, 1, 2, 5. What cannot be read is left out.
fn expand(list: &str) -> Vec<u32> {
    list.split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processors_is_read_with_its_ranges() {
        assert_eq!(expand("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(expand("7"), [7]);
        assert!(expand("").is_empty());
    }

    #[test]
    fn servers_and_load_share_only_where_there_is_no_other_way() {
        let machine = |allowed: &[u32]| Machine { allowed: allowed.to_vec(), pins: true };
        let four = machine(&[0, 1, 4, 5]);
        assert_eq!(four.split(1).to_string(), "servers on processor 0, load and databases on 1,4,5");
        assert_eq!(four.split(2).to_string(), "servers on processor 0,1, load and databases on 4,5");
        let two = machine(&[0, 1]).split(2);
        assert_eq!((two.count(), &two.servers, &two.load), (2, &vec![0, 1], &vec![0, 1]));
        assert!(two.shared.is_some() && two.pins);
        assert!(machine(&[3]).split(1).shared.is_some());
        assert!(!machine(&[]).split(1).pins);
        assert!(!Machine { pins: false, ..machine(&[0, 1]) }.split(1).pins);
    }

    #[test]
    fn a_server_runs_where_servers_run() {
        let cores = Machine { allowed: vec![0, 1, 2], pins: true }.split(1);
        let words =
            |command: Command| command.get_args().map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(words(cores.server_command(Path::new("/bin/true"))), ["-c", "0", "/bin/true"]);
        assert_eq!(words(cores.beside_command(Path::new("/bin/true"))), ["-c", "1,2", "/bin/true"]);
    }
}
