//! One line of the table: the figures of one subject, and its ratio to another's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    latency::Latencies,
    subject::{Round, Subject},
    watch::Seen,
};

/// Absent is what was not measured. Microseconds of CPU time are for each unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) bench: String,
    pub(crate) subject: String,
    /// What is counted: `request`, `order`, `start`, `swap`.
    pub(crate) unit: &'static str,
    pub(crate) connections: Option<u32>,
    /// How many processors the servers have.
    pub(crate) processors: usize,
    pub(crate) rounds: usize,
    pub(crate) body_bytes: Option<usize>,
    pub(crate) cpu: Option<Cpu>,
    /// What the ratios are against, and the median of the rounds' ratios, each to the same round.
    pub(crate) base: Option<String>,
    pub(crate) ratio: Option<f64>,
    pub(crate) ratio_user: Option<f64>,
    pub(crate) per_second: Option<f64>,
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: Option<u64>,
    pub(crate) pss_bytes: Option<u64>,
    /// Share of the machine that other processes took, 0 to 1: median and worst round.
    pub(crate) foreign: Option<f64>,
    pub(crate) foreign_max: Option<f64>,
    /// Wrong or missing answers, where they are counted rather than the end of the run.
    pub(crate) failures: Option<u64>,
}

/// Medians over the rounds, in microseconds a unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Cpu {
    /// All processes of what is measured, user and system.
    pub(crate) us: f64,
    pub(crate) us_min: f64,
    /// Of it in the programs themselves. Absent where only the sum is known.
    pub(crate) user_us: Option<f64>,
    pub(crate) us_rounds: Vec<f64>,
    /// By the name of what is measured: the host, PostgreSQL, Redis.
    pub(crate) of: BTreeMap<&'static str, Part>,
    /// Not part of the sum: the load, and what stands behind a proxy.
    pub(crate) beside: BTreeMap<&'static str, Part>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Part {
    pub(crate) us: f64,
    pub(crate) user_us: f64,
}

impl Row {
    /// Without figures.
    pub(crate) fn new(bench: &str, subject: &str, unit: &'static str, processors: usize) -> Self {
        Self { bench: bench.to_owned(), subject: subject.to_owned(), unit, processors, ..Self::default() }
    }

    /// The figures of `subject`, with ratios to `base` where it has some.
    pub(crate) fn of(bench: &str, subject: &Subject, base: Option<&Subject>, processors: usize) -> Self {
        let row = Self {
            connections: Some(subject.connections.get()),
            body_bytes: subject.body_bytes(),
            pss_bytes: Some(subject.pss_bytes),
            ..Self::new(bench, &subject.name, "request", processors)
        };
        let row = row.with_rounds(&subject.rounds).with_latencies(&subject.latencies);
        match base.filter(|base| !base.rounds.is_empty()) {
            Some(base) => row.against(&base.name, &subject.rounds, &base.rounds),
            None => row,
        }
    }

    pub(crate) fn with_rounds(self, rounds: &[Round]) -> Self {
        let of = |figure: fn(&Round) -> f64| -> Vec<f64> { rounds.iter().map(figure).collect() };
        let (us, foreign) = (of(Round::cpu_us), of(|round| round.seen.foreign));
        let cpu = Cpu {
            us: median(us.clone()),
            us_min: us.iter().copied().fold(f64::INFINITY, f64::min),
            user_us: Some(median(of(Round::user_us))),
            us_rounds: us,
            of: parts(rounds, |seen| &seen.servers),
            beside: parts(rounds, |seen| &seen.beside),
        };
        Self {
            rounds: rounds.len(),
            cpu: Some(cpu),
            per_second: Some(median(of(Round::per_second))),
            foreign_max: Some(foreign.iter().copied().fold(0.0, f64::max)),
            foreign: Some(median(foreign)),
            ..self
        }
    }

    pub(crate) fn with_latencies(self, latencies: &Latencies) -> Self {
        Self { p50_us: Some(latencies.quantile_us(0.5)), p99_us: Some(latencies.quantile_us(0.99)), ..self }
    }

    /// Compares what was measured in the same round.
    fn against(self, name: &str, ours: &[Round], base: &[Round]) -> Self {
        let ratio = |figure: fn(&Round) -> f64| {
            let pairs = ours.iter().zip(base).map(|(ours, base)| figure(ours) / figure(base));
            median(pairs.filter(|ratio| ratio.is_finite()).collect())
        };
        let (ratio, ratio_user) = (ratio(Round::cpu_us), ratio(Round::user_us));
        Self {
            base: Some(name.to_owned()),
            ratio: ratio.is_finite().then_some(ratio),
            ratio_user: ratio_user.is_finite().then_some(ratio_user),
            ..self
        }
    }
}

/// Medians of each part over the rounds; a part that a round has not, cost nothing in it.
fn parts(rounds: &[Round], side: impl Fn(&Seen) -> &crate::process::Costs) -> BTreeMap<&'static str, Part> {
    let names: BTreeSet<&'static str> = rounds.iter().flat_map(|round| side(&round.seen).keys().copied()).collect();
    let part = |name: &'static str| {
        let usages = rounds.iter().map(|round| (round, side(&round.seen).get(name).copied().unwrap_or_default()));
        let (us, user_us) = usages.map(|(round, usage)| (round.each(usage.total()), round.each(usage.user))).unzip();
        (name, Part { us: median(us), user_us: median(user_us) })
    };
    names.into_iter().map(part).collect()
}

/// The middle value, or the mean of the two in the middle; NaN for none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::Usage;

    /// A thousand requests that cost so many microseconds each, a quarter of them in the program.
    fn round(us: u64, foreign: f64) -> Round {
        let usage = Usage { user: Duration::from_micros(us * 250), system: Duration::from_micros(us * 750) };
        let servers = [("host", usage)].into();
        let beside = [("load", usage)].into();
        Round { units: 1000, seen: Seen { took: Duration::from_secs(2), servers, beside, foreign } }
    }

    #[test]
    fn a_ratio_compares_what_was_measured_in_the_same_round() {
        let ours = [round(20, 0.0), round(40, 0.0), round(30, 0.0)];
        let base = [round(10, 0.0), round(20, 0.0), round(10, 0.0)];
        let row = Row::default().against("native", &ours, &base);
        assert_eq!((row.base.as_deref(), row.ratio, row.ratio_user), (Some("native"), Some(2.0), Some(2.0)));
        assert_eq!(Row::default().against("nothing", &ours, &[]).ratio, None);
    }

    #[test]
    fn user_time_stands_apart_and_the_load_is_no_part_of_the_sum() {
        let row = Row::default().with_rounds(&[round(10, 0.01), round(30, 0.2), round(20, 0.02)]);
        let cpu = row.cpu.unwrap();
        assert_eq!((cpu.us, cpu.us_min, cpu.user_us), (20.0, 10.0, Some(5.0)));
        assert_eq!(cpu.of["host"], Part { us: 20.0, user_us: 5.0 });
        assert_eq!(cpu.beside["load"], Part { us: 20.0, user_us: 5.0 });
        assert_eq!((row.foreign, row.foreign_max, row.per_second), (Some(0.02), Some(0.2), Some(500.0)));
    }

    #[test]
    fn a_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
