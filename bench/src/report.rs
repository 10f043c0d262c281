//! The figures of a run: a table on a terminal, one JSON document in a pipe.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    num::NonZeroU32,
};

use serde::Serialize;

use crate::{cores::Cores, latency::Latencies};

/// One measurement of one subject.
pub(crate) struct Round {
    pub(crate) cpu_us: f64,
    pub(crate) requests_per_second: f64,
}

/// A subject with its rounds so far.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) body_bytes: usize,
    pub(crate) rounds: Vec<Round>,
    /// Of all rounds together; `None` before the first.
    pub(crate) latencies: Option<Latencies>,
    /// After the last round.
    pub(crate) pss_bytes: u64,
}

impl Measured {
    pub(crate) fn new(name: &'static str, body_bytes: usize) -> Self {
        Self { name, body_bytes, rounds: Vec::new(), latencies: None, pss_bytes: 0 }
    }
}

#[derive(Serialize)]
pub(crate) struct Report {
    bench: &'static str,
    /// What the ratios are against.
    base: &'static str,
    rounds: usize,
    seconds: NonZeroU32,
    connections: NonZeroU32,
    cores: String,
    subjects: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    body_bytes: usize,
    /// All processes of the server, user and system, for each request.
    cpu_us_min: f64,
    cpu_us_median: f64,
    cpu_us_rounds: Vec<f64>,
    /// Least CPU time against native's least; absent without a native subject.
    ratio_min: Option<f64>,
    /// Median over the rounds of CPU time against native's in the same round.
    ratio_median: Option<f64>,
    requests_per_second_median: f64,
    p50_us: u64,
    p99_us: u64,
    pss_bytes: u64,
}

impl Report {
    /// Ratios are against `native`, which is one of `measured` or absent.
    pub(crate) fn new(
        bench: &'static str,
        base: &'static str,
        measured: &[Measured],
        native: Option<&Measured>,
        connections: NonZeroU32,
        seconds: NonZeroU32,
        cores: &Cores,
    ) -> Self {
        Self {
            bench,
            base,
            rounds: measured.first().map_or(0, |subject| subject.rounds.len()),
            seconds,
            connections,
            cores: cores.to_string(),
            subjects: measured.iter().map(|subject| Row::new(subject, native)).collect(),
        }
    }

    /// Prints a table on a terminal; JSON elsewhere, or when asked for.
    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if json || !out.is_terminal() {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
        } else {
            write!(out, "{self}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bench, base, rounds, seconds, connections, cores, .. } = self;
        let ratio = format!("× {base}");
        writeln!(f, "{bench}: {rounds} rounds of {seconds} s, {connections} connections, {cores}\n")?;
        writeln!(
            f,
            "{:<24}{:>10}{:>10}{:>14}{:>10}{:>8}{:>8}{:>10}",
            "", "CPU µs", "median", ratio, "req/s", "p50 µs", "p99 µs", "PSS MiB"
        )?;
        for row in &self.subjects {
            let ratio = row.ratio_median.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            writeln!(
                f,
                "{:<24}{:>10.1}{:>10.1}{ratio:>14}{:>10.0}{:>8}{:>8}{:>10.1}",
                row.name,
                row.cpu_us_min,
                row.cpu_us_median,
                row.requests_per_second_median,
                row.p50_us,
                row.p99_us,
                row.pss_bytes as f64 / f64::from(1 << 20),
            )?;
        }
        writeln!(f, "\nCPU: all processes of the server, user and system, for each request; the least and the median.")
    }
}

impl Row {
    fn new(subject: &Measured, native: Option<&Measured>) -> Self {
        let cpu_us = cpu_us(subject);
        let native = native.map(self::cpu_us);
        let in_turn = |native: &Vec<f64>| cpu_us.iter().zip(native).map(|(us, native)| us / native).collect();
        let latencies = subject.latencies.as_ref();
        let rates = subject.rounds.iter().map(|round| round.requests_per_second).collect();
        Self {
            name: subject.name,
            body_bytes: subject.body_bytes,
            cpu_us_min: least(&cpu_us),
            cpu_us_median: median(cpu_us.clone()),
            ratio_min: native.as_ref().map(|native| least(&cpu_us) / least(native)),
            ratio_median: native.as_ref().map(|native| median(in_turn(native))),
            cpu_us_rounds: cpu_us,
            requests_per_second_median: median(rates),
            p50_us: latencies.map_or(0, |latencies| latencies.quantile_us(0.5)),
            p99_us: latencies.map_or(0, |latencies| latencies.quantile_us(0.99)),
            pss_bytes: subject.pss_bytes,
        }
    }
}

fn cpu_us(subject: &Measured) -> Vec<f64> {
    subject.rounds.iter().map(|round| round.cpu_us).collect()
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The middle value, or the mean of the two in the middle; NaN for none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_compares_what_was_measured_in_the_same_round() {
        let native = measured("native hyper", &[10.0, 20.0, 10.0]);
        let ours = measured("ours", &[20.0, 40.0, 30.0]);
        let row = Row::new(&ours, Some(&native));
        assert_eq!((row.ratio_median, row.ratio_min), (Some(2.0), Some(2.0)));
        assert_eq!((row.cpu_us_min, row.cpu_us_median), (20.0, 30.0));
        assert_eq!(Row::new(&ours, None).ratio_min, None);
    }

    #[test]
    fn a_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    fn measured(name: &'static str, cpu_us: &[f64]) -> Measured {
        let round = |&cpu_us: &f64| Round { cpu_us, requests_per_second: 1.0 };
        Measured { rounds: cpu_us.iter().map(round).collect(), ..Measured::new(name, 14) }
    }
}
