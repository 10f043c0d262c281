//! What a stretch of time costs: the servers that are measured, what stands beside them, and what
//! everybody else on the machine took meanwhile.

use std::{
    fs,
    ops::Add,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::process::{self, Costs, TICK, Usage};

/// The name of the load's own CPU time.
pub(crate) const LOAD: &str = "load";

/// A process, with all that descends from it, whose CPU time is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charged {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    /// Whether it belongs to what is measured, or only stands behind it.
    pub(crate) counts: bool,
}

impl Charged {
    pub(crate) fn server(name: &'static str, pid: u32) -> Self {
        Self { name, pid, counts: true }
    }

    pub(crate) fn beside(name: &'static str, pid: u32) -> Self {
        Self { name, pid, counts: false }
    }
}

/// A watch that runs.
pub(crate) struct Watch {
    charged: Vec<Charged>,
    began: Instant,
    before: State,
}

/// What it has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) took: Duration,
    /// What is measured, by name.
    pub(crate) servers: Costs,
    /// The load, and what stands behind.
    pub(crate) beside: Costs,
    /// What share of the machine's CPU time others took, on it or beside it on the same hardware, 0 to 1.
    pub(crate) foreign: f64,
}

struct State {
    busy: Duration,
    load: Usage,
    costs: Vec<Costs>,
}

impl Watch {
    pub(crate) fn start(charged: &[Charged]) -> anyhow::Result<Self> {
        let began = Instant::now();
        Ok(Self { charged: charged.to_vec(), began, before: State::now(charged)? })
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> anyhow::Result<Seen> {
        self.seen_besides(Duration::ZERO)
    }

    /// What it has seen besides servers that have come and gone, and had so much CPU time.
    pub(crate) fn seen_besides(&self, gone: Duration) -> anyhow::Result<Seen> {
        let now = State::now(&self.charged)?;
        let took = self.began.elapsed();
        let mut seen = Seen { took, ..Seen::default() };
        seen.beside.insert(LOAD, now.load - self.before.load);
        for ((charged, before), after) in self.charged.iter().zip(&self.before.costs).zip(&now.costs) {
            let side = if charged.counts { &mut seen.servers } else { &mut seen.beside };
            for (name, usage) in after {
                *side.entry(name).or_default() += *usage - before.get(name).copied().unwrap_or_default();
            }
        }
        let ours = total(&seen.servers) + total(&seen.beside);
        seen.foreign = foreign(now.busy.saturating_sub(self.before.busy), ours.total() + gone, took, processors());
        Ok(seen)
    }
}

impl State {
    fn now(charged: &[Charged]) -> anyhow::Result<Self> {
        let costs =
            charged.iter().map(|charged| process::costs(charged.name, charged.pid)).collect::<Result<_, _>>()?;
        Ok(Self { busy: busy()?, load: process::own()?, costs })
    }
}

pub(crate) fn total(costs: &Costs) -> Usage {
    costs.values().copied().fold(Usage::default(), Add::add)
}

/// The share of `processors` for `took` that was busy and not ours.
fn foreign(busy: Duration, ours: Duration, took: Duration, processors: usize) -> f64 {
    let all = took.as_secs_f64() * processors as f64;
    (busy.saturating_sub(ours).as_secs_f64() / all.max(f64::MIN_POSITIVE)).min(1.0)
}

/// All of them, not only those that this process may use.
fn processors() -> usize {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let is_one =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    stat.lines().filter(is_one).count().max(1)
}

/// CPU time of all processes on all processors since the machine started.
fn busy() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    busy_of(&stat).context("/proc/stat has no line `cpu`")
}

/// User, nice, system, irq, softirq and what other virtual machines stole: fields 1, 2, 3, 6, 7 and
/// 8 of the line of all processors.
fn busy_of(stat: &str) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let ticks: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|field| fields.get(*field)).sum();
    Some(Duration::from_millis(ticks * TICK.as_millis() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_busy_with_anything_but_waiting() {
        let stat = "cpu  1 2 4 1000 1000 8 16 32 1000 1000\ncpu0 1 2 4 1000 1000 8 16 32 1000 1000\n";
        assert_eq!(busy_of(stat), Some(TICK * 63));
        assert_eq!(busy_of("intr 0"), None);
    }

    #[test]
    fn foreign_is_what_was_busy_and_not_ours() {
        let seconds = Duration::from_secs;
        assert_eq!(foreign(seconds(6), seconds(4), seconds(4), 2), 0.25);
        assert_eq!(foreign(seconds(3), seconds(4), seconds(4), 2), 0.0);
    }

    #[test]
    fn the_load_is_told_apart_from_what_it_loads() {
        let me = std::process::id();
        let watch = Watch::start(&[Charged::beside("behind", me)]).unwrap();
        let seen = watch.seen().unwrap();
        assert!(seen.servers.is_empty());
        assert_eq!(seen.beside.keys().copied().collect::<Vec<_>>(), ["behind", LOAD]);
    }
}
