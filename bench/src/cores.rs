//! Which processors the servers get and which the load gets, so that neither disturbs the other.

use std::{fs, process::Command};

/// How a run is laid out over the machine.
pub(crate) enum Cores {
    /// Servers on one processor, the load on the others. Lists as `taskset -c` reads them.
    Apart { server: String, load: String },
    /// Everyone everywhere, and why.
    Shared { because: &'static str },
}

impl Cores {
    /// Takes the first processor that this process may use for the servers.
    pub(crate) fn split() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let allowed = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .map(|list| expand(list.trim()))
            .unwrap_or_default();
        let [server, load @ ..] = allowed.as_slice() else {
            return Self::Shared { because: "the system does not name its processors" };
        };
        if load.is_empty() {
            return Self::Shared { because: "there is one processor only" };
        }
        if Command::new("taskset").arg("--version").output().is_err() {
            return Self::Shared { because: "`taskset` is missing (package util-linux)" };
        }
        let load: Vec<String> = load.iter().map(u32::to_string).collect();
        Self::Apart { server: server.to_string(), load: load.join(",") }
    }

    /// Moves this process off the servers' processor.
    pub(crate) fn pin_load(&self) -> anyhow::Result<()> {
        let Self::Apart { load, .. } = self else {
            return Ok(());
        };
        let pid = std::process::id().to_string();
        let output = Command::new("taskset").args(["-acp", load, &pid]).output()?;
        anyhow::ensure!(output.status.success(), "taskset cannot pin this process to {load}");
        Ok(())
    }

    /// A command that runs `program` where servers run.
    pub(crate) fn server_command(&self, program: &std::path::Path) -> Command {
        match self {
            Self::Apart { server, .. } => {
                let mut command = Command::new("taskset");
                command.args(["-c", server]).arg(program);
                command
            }
            Self::Shared { .. } => Command::new(program),
        }
    }
}

impl std::fmt::Display for Cores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Apart { server, load } => {
                write!(f, "servers on processor {server}, load on {load}")
            }
            Self::Shared { because } => write!(f, "servers and load not kept apart: {because}"),
        }
    }
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
}
