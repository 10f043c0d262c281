//! What servers have cost so far, from the system's own accounting in `/proc`.
//!
//! A server is a process and all that descends from it. Private databases of a host are told apart
//! from it by the names of their programs.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

use anyhow::Context;

/// `proc_pid_stat(5)` counts in clock ticks, which Linux shows to programs as 100 a second.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// What the programs of private databases call themselves, and what they are called here.
const DATABASES: &[(&str, &str)] = &[("postgres", "PostgreSQL"), ("redis-server", "Redis")];

/// CPU time of some processes, in the program itself and in the kernel for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Usage {
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self { user: self.user + more.user, system: self.system + more.system }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

impl Sub for Usage {
    type Output = Self;

    /// Never below zero: the kernel's split of a total into user and system may go back by a tick.
    fn sub(self, less: Self) -> Self {
        Self { user: self.user.saturating_sub(less.user), system: self.system.saturating_sub(less.system) }
    }
}

/// By the name of what costs: the server's own, `PostgreSQL`, `Redis`.
pub(crate) type Costs = BTreeMap<&'static str, Usage>;

/// Of `root` and its descendants, ended children included; what is no database is called `name`.
///
/// Resolution is 10 ms, so a round must be long against that.
pub(crate) fn costs(name: &'static str, root: u32) -> anyhow::Result<Costs> {
    let mut costs = Costs::new();
    for process in family(root)? {
        *costs.entry(process.database().unwrap_or(name)).or_default() += process.usage;
    }
    Ok(costs)
}

/// All of `root` and its descendants in one sum.
pub(crate) fn usage(root: u32) -> anyhow::Result<Usage> {
    Ok(costs("", root)?.into_values().fold(Usage::default(), Add::add))
}

/// Of this process itself, without any child.
pub(crate) fn own() -> anyhow::Result<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let [user, system, ..] = times(&stat).context("/proc/self/stat has no times")?;
    Ok(Usage { user, system })
}

/// The private databases among the descendants of `root`.
pub(crate) fn databases(root: u32) -> anyhow::Result<Vec<u32>> {
    let family = family(root)?.into_iter();
    Ok(family.filter(|process| process.database().is_some()).map(|process| process.pid).collect())
}

/// How long the living threads of `root` and its descendants have run, to the nanosecond: for
/// what takes milliseconds.
pub(crate) fn run_time(root: u32) -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for process in family(root)? {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", process.pid)) else {
            continue; // it has just ended
        };
        for thread in threads.flatten() {
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else {
                continue;
            };
            nanos += text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(nanos))
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
    /// What the program calls itself, up to 15 bytes.
    name: String,
    /// Its own, and that of its children that have ended.
    usage: Usage,
}

impl Process {
    fn database(&self) -> Option<&'static str> {
        DATABASES.iter().find(|(program, _)| self.name == *program).map(|(_, name)| *name)
    }
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

/// The name in field 2 of `/proc/PID/stat` may hold anything, so counting starts behind its last
/// bracket.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let parent = after.split_whitespace().nth(1)?.parse().ok()?;
    let [user, system, ended_user, ended_system] = times(stat)?;
    Some(Process { pid, parent, name, usage: Usage { user: user + ended_user, system: system + ended_system } })
}

/// Fields 14 to 17: user and system time of the process, then of its children that have ended.
fn times(stat: &str) -> Option<[Duration; 4]> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let time = |field: usize| Some(TICK * fields.get(field - 3)?.parse::<u32>().ok()?);
    Some([time(14)?, time(15)?, time(16)?, time(17)?])
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
        let usage = Usage { user: TICK * 44, system: TICK * 66 };
        assert_eq!(parse(42, stat), Some(Process { pid: 42, parent: 7, name: "a) b (c)".to_owned(), usage }));
        assert_eq!(parse(42, "42 (cut off"), None);
    }

    #[test]
    fn a_private_database_is_told_from_its_host() {
        let database =
            |name: &str| parse(1, &format!("1 ({name}) S 7 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0")).unwrap().database();
        assert_eq!(database("postgres"), Some("PostgreSQL"));
        assert_eq!(database("redis-server"), Some("Redis"));
        assert_eq!(database("archipel"), None);
    }

    #[test]
    fn time_never_runs_backwards() {
        let usage = |user, system| Usage { user: TICK * user, system: TICK * system };
        assert_eq!(usage(5, 2) - usage(2, 3), usage(3, 0));
        assert_eq!((usage(1, 2) + usage(3, 4)).total(), TICK * 10);
    }

    #[test]
    fn this_process_uses_memory_and_counts_as_its_own_family() {
        let me = std::process::id();
        assert!(costs("me", me).unwrap().contains_key("me"));
        assert!(run_time(me).unwrap() > Duration::ZERO);
        assert!(pss_bytes(me).unwrap() > 0);
        assert!(usage(u32::MAX).is_err());
    }
}
