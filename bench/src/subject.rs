//! What is measured, and how: loaded in turn with the others, A B C C B A …, so that a change of
//! the machine's mood meets each of them.

use std::{num::NonZeroU32, time::Duration};

use anyhow::{Context, ensure};

use crate::{
    latency::Latencies,
    load::{self, Clients, Target},
    process,
    progress::say,
    watch::{Charged, Seen, Watch, total},
};

/// Load before each measurement that is not counted: connections, caches, the clock of the CPU.
const WARM_UP: Duration = Duration::from_millis(300);

/// How often, how long and over how many connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: NonZeroU32,
    pub(crate) round: Duration,
    pub(crate) connections: NonZeroU32,
}

/// One measurement.
pub(crate) struct Round {
    /// How many requests, orders, starts.
    pub(crate) units: u64,
    pub(crate) seen: Seen,
}

impl Round {
    pub(crate) fn cpu_us(&self) -> f64 {
        self.each(total(&self.seen.servers).total())
    }

    pub(crate) fn user_us(&self) -> f64 {
        self.each(total(&self.seen.servers).user)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.units as f64 / self.seen.took.as_secs_f64()
    }

    /// Microseconds of `time` for each unit.
    pub(crate) fn each(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.units as f64
    }
}

/// One thing that is measured, with its rounds so far.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) connections: NonZeroU32,
    pub(crate) rounds: Vec<Round>,
    /// Of all rounds together.
    pub(crate) latencies: Latencies,
    /// After the last round, of what counts.
    pub(crate) pss_bytes: u64,
    /// Why it was given up; what it has until then is true.
    pub(crate) failed: Option<String>,
    target: Target,
    body_bytes: Option<usize>,
    charged: Vec<Charged>,
}

impl Subject {
    /// Asks once, so that a subject that cannot answer never gets a load.
    pub(crate) async fn get(name: &str, target: Target, charged: Vec<Charged>) -> anyhow::Result<Self> {
        let answer = load::once(&target).await.with_context(|| name.to_owned())?;
        ensure!(answer.status == 200, "{name} answers {}, not 200", answer.status);
        Ok(Self { body_bytes: Some(answer.body_bytes), ..Self::post(name, target, charged) })
    }

    /// Answers may differ in length.
    pub(crate) fn post(name: &str, target: Target, charged: Vec<Charged>) -> Self {
        Self {
            name: name.to_owned(),
            connections: NonZeroU32::MIN,
            rounds: Vec::new(),
            latencies: Latencies::new(),
            pss_bytes: 0,
            failed: None,
            target,
            body_bytes: None,
            charged,
        }
    }

    pub(crate) fn body_bytes(&self) -> Option<usize> {
        self.body_bytes
    }

    /// Loads it once. What goes wrong twice ends the subject with the rounds that it has, and not the run.
    pub(crate) async fn one_round(&mut self, plan: Plan) {
        if self.failed.is_some() {
            return;
        }
        let mut measured = self.measure(plan).await;
        if let Err(error) = &measured {
            say(&format!("  {}: once more: {error:#}", self.name));
            measured = self.measure(plan).await;
        }
        match measured {
            Ok(round) => {
                say(&format!("  {:<36}{:>9.1} µs", self.name, round.cpu_us()));
                self.rounds.push(round);
            }
            Err(error) => {
                say(&format!("  {}: given up: {error:#}", self.name));
                self.failed = Some(format!("{error:#}"));
            }
        }
    }

    async fn measure(&mut self, plan: Plan) -> anyhow::Result<Round> {
        self.connections = plan.connections;
        let mut clients = Clients::open(&self.target, plan.connections).await?;
        clients.run(WARM_UP, self.body_bytes).await?;
        let watch = Watch::start(&self.charged)?;
        let outcome = clients.run(plan.round, self.body_bytes).await?;
        let seen = Seen { took: outcome.took, ..watch.seen()? };
        let units = outcome.latencies.total();
        ensure!(units > 0, "not one answer in {:?}", plan.round);
        self.latencies.add(&outcome.latencies);
        let counted = self.charged.iter().filter(|charged| charged.counts);
        self.pss_bytes = counted.map(|charged| process::pss_bytes(charged.pid)).sum::<anyhow::Result<u64>>()?;
        Ok(Round { units, seen })
    }
}

/// Measures all of them, round by round, in turn.
pub(crate) async fn in_turn(bench: &str, subjects: &mut [Subject], plan: Plan) {
    if subjects.is_empty() {
        return;
    }
    for round in 1..=plan.rounds.get() {
        say(&format!("{bench}: round {round} of {}, {} connections", plan.rounds, plan.connections));
        let count = subjects.len();
        for place in 0..count {
            let place = if round % 2 == 1 { place } else { count - 1 - place };
            subjects[place].one_round(plan).await;
        }
    }
}
