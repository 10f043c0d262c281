//! The figures of a run: a table on a terminal, one JSON document in a pipe.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, IsTerminal, Write},
    path::Path,
};

use anyhow::Context;
use serde::Serialize;

use crate::{
    row::{Cpu, Part, Row},
    subject::Subject,
    watch::LOAD,
};

/// Where others took more of the machine than this, the figures are marked.
const FOREIGN_MAX: f64 = 0.05;

/// What a bench found: figures, and what it could not measure.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Found {
    pub(crate) rows: Vec<Row>,
    pub(crate) failed: Vec<Failure>,
    /// Peers that are not installed.
    pub(crate) absent: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) bench: String,
    pub(crate) subject: String,
    pub(crate) why: String,
}

impl Found {
    pub(crate) fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.failed.extend(other.failed);
        self.absent.extend(other.absent.into_iter().filter(|peer| !self.absent.contains(peer)).collect::<Vec<_>>());
    }

    /// What was measured of `subject`, and why not all of it.
    pub(crate) fn take(&mut self, bench: &str, subject: &Subject, base: Option<&Subject>, processors: usize) {
        if !subject.rounds.is_empty() {
            self.rows.push(Row::of(bench, subject, base, processors));
        }
        if let Some(why) = &subject.failed {
            self.fail(bench, &subject.name, why);
        }
    }

    pub(crate) fn fail(&mut self, bench: &str, subject: &str, why: &str) {
        self.failed.push(Failure { bench: bench.to_owned(), subject: subject.to_owned(), why: why.to_owned() });
    }
}

/// A run, as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) bench: &'static str,
    pub(crate) date: String,
    pub(crate) commit: Option<String>,
    pub(crate) machine: Machine,
    /// How servers and load share the processors.
    pub(crate) layout: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    /// By the name of the program.
    pub(crate) versions: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(crate) found: Found,
}

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) kernel: String,
}

impl Report {
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

    /// Writes JSON into `file`, and prints the table wherever that goes.
    pub(crate) fn save(&self, file: &Path) -> anyhow::Result<()> {
        write!(io::stdout().lock(), "{self}")?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bench, date, machine, layout, rounds, seconds, versions, found, .. } = self;
        let commit = self.commit.as_deref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
        writeln!(f, "{bench}: {rounds} rounds of {seconds} s, {date}{commit}")?;
        writeln!(f, "{} × {}, {}; {layout}", machine.processors, machine.processor, machine.kernel)?;
        let versions: Vec<_> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        writeln!(f, "{}\n", versions.join(", "))?;
        rows(f, &found.rows)?;
        writeln!(
            f,
            "\nCPU: all processes of what is measured, user and system, for each request (or order, start, swap); the"
        )?;
        writeln!(
            f,
            "median. `×` compares in the same round. load: its own CPU µs. foreign: what others took of the machine; `!` is over {:.0} %: measure again.",
            FOREIGN_MAX * 100.0
        )?;
        if !found.absent.is_empty() {
            writeln!(f, "not installed, left out: {} (`just bench-peers`)", found.absent.join(", "))?;
        }
        for Failure { bench, subject, why } in &found.failed {
            writeln!(f, "{bench}: {subject} failed: {why}")?;
        }
        Ok(())
    }
}

fn rows(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    writeln!(
        f,
        "{:<38}{:>5}{:>9}{:>8}{:>7}{:>8}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "", "conns", "CPU µs", "user", "×", "× user", "load", "a second", "p50 µs", "p99 µs", "PSS MiB", "foreign"
    )?;
    let mut bench = "";
    for row in rows {
        if row.bench != bench {
            bench = &row.bench;
            let base = row
                .base
                .as_deref()
                .or_else(|| rows.iter().filter(|other| other.bench == *bench).find_map(|other| other.base.as_deref()));
            let base = base.map(|base| format!(" (× {base})")).unwrap_or_default();
            writeln!(f, "{bench}{base}")?;
        }
        line(f, row)?;
    }
    Ok(())
}

fn line(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let cpu = row.cpu.as_ref();
    writeln!(
        f,
        "  {:<36}{:>5}{:>9}{:>8}{:>7}{:>8}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}",
        row.subject,
        row.connections.map_or_else(blank, |connections| connections.to_string()),
        number(cpu.map(|cpu| cpu.us), 1),
        number(cpu.and_then(|cpu| cpu.user_us), 1),
        number(row.ratio, 2),
        number(row.ratio_user, 2),
        number(cpu.and_then(|cpu| cpu.beside.get(LOAD)).map(|part| part.us), 1),
        number(row.per_second, 0),
        row.p50_us.map_or_else(blank, |us| us.to_string()),
        row.p99_us.map_or_else(blank, |us| us.to_string()),
        number(row.pss_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20)), 1),
        row.foreign_max.map_or_else(blank, foreign),
    )?;
    if let Some(parts) = cpu.and_then(parts) {
        writeln!(f, "      {parts}")?;
    }
    if let Some(failures) = row.failures.filter(|failures| *failures > 0) {
        writeln!(f, "      {failures} wrong or missing answers")?;
    }
    Ok(())
}

/// Who of several had how much, user time in brackets; nothing where there is one.
fn parts(cpu: &Cpu) -> Option<String> {
    let apart = cpu.beside.iter().filter(|(name, _)| **name != LOAD);
    let parts: Vec<_> = cpu.of.iter().chain(apart.clone()).collect();
    let one = |(name, part): &(&&str, &Part)| format!("{name} {:.1} ({:.1})", part.us, part.user_us);
    let counted = parts[..cpu.of.len()].iter().map(one).collect::<Vec<_>>().join(", ");
    let beside = parts[cpu.of.len()..].iter().map(one).collect::<Vec<_>>().join(", ");
    match (parts.len(), beside.is_empty()) {
        (..=1, _) => None,
        (_, true) => Some(format!("of it {counted}")),
        (_, false) => Some(format!("of it {counted}; not counted: {beside}")),
    }
}

/// A percentage, marked where it spoils the figures.
fn foreign(share: f64) -> String {
    let mark = if share > FOREIGN_MAX { "!" } else { "" };
    format!("{:.0}%{mark}", share * 100.0)
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.filter(|value| value.is_finite()).map_or_else(blank, |value| format!("{value:.digits$}"))
}

fn blank() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(found: Found) -> Report {
        let machine = Machine { processor: "a processor".to_owned(), processors: 2, kernel: "Linux 6".to_owned() };
        Report {
            bench: "hello",
            date: "today".to_owned(),
            commit: None,
            machine,
            layout: "apart".to_owned(),
            rounds: 5,
            seconds: 3.0,
            versions: [("nginx".to_owned(), "1.22".to_owned())].into(),
            found,
        }
    }

    fn row() -> Row {
        let part = |us| Part { us, user_us: us / 2.0 };
        let cpu = Cpu {
            us: 140.0,
            user_us: Some(70.0),
            of: [("PostgreSQL", part(46.0)), ("host", part(94.0))].into(),
            beside: [("load", part(20.0))].into(),
            ..Cpu::default()
        };
        Row { cpu: Some(cpu), foreign_max: Some(0.07), ..Row::new("shop", "user", "request", 1) }
    }

    #[test]
    fn a_table_has_each_process_apart_and_marks_a_noisy_run() {
        let text = report(Found { rows: vec![row()], ..Found::default() }).to_string();
        assert!(text.contains("140.0    70.0"), "{text}");
        assert!(text.contains("of it PostgreSQL 46.0 (23.0), host 94.0 (47.0)"), "{text}");
        assert!(text.contains("7%!") && text.contains("   20.0  ") && !text.contains("load 20"), "{text}");
    }

    #[test]
    fn what_is_missing_and_what_failed_is_said() {
        let mut found = Found { absent: vec!["wash dev".to_owned()], ..Found::default() };
        found.add(Found { absent: vec!["wash dev".to_owned(), "nginx".to_owned()], ..Found::default() });
        found.fail("hello", "node", "no answer");
        let text = report(found).to_string();
        assert!(text.contains("left out: wash dev, nginx"), "{text}");
        assert!(text.contains("hello: node failed: no answer"), "{text}");
    }

    #[test]
    fn a_machine_reads_the_rows_and_what_failed_beside_them() {
        let mut found = Found { rows: vec![row()], ..Found::default() };
        found.fail("hello", "node", "no answer");
        let json: serde_json::Value = serde_json::to_value(report(found)).unwrap();
        assert_eq!(json["rows"][0]["cpu"]["of"]["host"]["user_us"], 47.0);
        assert_eq!(json["rows"][0]["ratio"], serde_json::Value::Null);
        assert_eq!(json["failed"][0]["subject"], "node");
    }
}
