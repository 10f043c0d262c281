//! What a server has cost so far, from the system's own accounting in `/proc`.
//!
//! A server is a process and all that descends from it: embedded databases count.

use std::{fs, io, time::Duration};

use anyhow::Context;

/// `proc_pid_stat(5)` counts in clock ticks, which Linux shows to programs as 100 a second.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of `root` and its descendants, ended children included.
///
/// Resolution is 10 ms, so a round must be long against that.
pub(crate) fn cpu(root: u32) -> anyhow::Result<Duration> {
    let ticks: u64 = family(root)?.iter().map(|process| process.ticks).sum();
    Ok(TICK * u32::try_from(ticks).context("more CPU time than fits")?)
}

/// Proportional set size of `root` and its descendants: shared pages divided by their users.
pub(crate) fn pss_bytes(root: u32) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for process in family(root)? {
        let path = format!("/proc/{}/smaps_rollup", process.pid);
        let rollup = match fs::read_to_string(&path) {
            Ok(rollup) => rollup,
            Err(error) if gone(&error) => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        };
        bytes += rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .with_context(|| format!("{path} has no `Pss` line"))?
            * 1024;
    }
    Ok(bytes)
}

#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    ticks: u64,
}

fn family(root: u32) -> anyhow::Result<Vec<Process>> {
    let mut others = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end between the listing and this line.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        others.extend(parse(pid, &stat));
    }
    let mut family: Vec<Process> = others.extract_if(.., |process| process.pid == root).collect();
    anyhow::ensure!(!family.is_empty(), "process {root} is gone");
    let mut next = 0;
    while next < family.len() {
        let parent = family[next].pid;
        family.extend(others.extract_if(.., |process| process.parent == parent));
        next += 1;
    }
    Ok(family)
}

/// Fields 4 and 14 to 17 of `/proc/PID/stat`; the name in field 2 may hold anything, so counting
/// starts behind its last bracket.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = number(14)? + number(15)? + number(16)? + number(17)?;
    Some(Process { pid, parent: u32::try_from(number(4)?).ok()?, ticks })
}

fn gone(error: &io::Error) -> bool {
    // `smaps_rollup` of a process that has just ended reads as ESRCH (3).
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "42 (a) b (c)) S 7 42 42 0 -1 0 0 0 0 0 11 22 33 44 20 0 1 0 0";
        assert_eq!(parse(42, stat), Some(Process { pid: 42, parent: 7, ticks: 110 }));
        assert_eq!(parse(42, "42 (cut off"), None);
    }

    #[test]
    fn this_process_uses_memory_and_counts_as_its_own_family() {
        let me = std::process::id();
        assert!(cpu(me).is_ok());
        assert!(pss_bytes(me).unwrap() > 0);
        assert!(cpu(u32::MAX).is_err());
    }
}
