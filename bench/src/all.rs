//! Everything in one table: each bench after the other, none of which can keep the others from
//! being measured.

use std::time::Duration;

use clap::ValueEnum;
use tokio::time::timeout;

use crate::{
    gateway,
    hello::{self, Kind, Setting},
    progress::say,
    report::Found,
    run,
    scale::Part,
    shop, swap,
};

/// For one bench. What takes longer has stopped making progress.
const BENCH_MAX: Duration = Duration::from_secs(600);

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    shared: run::Options,
}

/// Measures, then prints one table or JSON document.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    run::run("all", &options.shared, async |run| {
        let mut found = Found::default();
        let kinds = Kind::value_variants();
        let hello = Setting { bench: "hello", processors: 1, plan: run.plan(), kinds };
        bounded(&mut found, "hello", hello::measure(run, hello)).await;
        bounded(&mut found, "gateway", gateway::measure(run)).await;
        bounded(&mut found, "shop", shop::measure(run, shop::Setting::ALL)).await;
        for part in Part::value_variants() {
            bounded(&mut found, "scale", part.measure(run)).await;
        }
        bounded(&mut found, "swap", swap::measure(run)).await;
        Ok(found)
    })
}

/// A bench that fails is a line of the report.
async fn bounded(found: &mut Found, name: &str, bench: impl Future<Output = anyhow::Result<Found>>) {
    match timeout(BENCH_MAX, bench).await {
        Ok(Ok(more)) => found.add(more),
        Ok(Err(error)) => {
            say(&format!("{name}: failed: {error:#}"));
            found.fail(name, "all of it", &format!("{error:#}"));
        }
        Err(_) => found.fail(name, "all of it", &format!("not done after {} s", BENCH_MAX.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bench_that_fails_does_not_end_the_others() {
        let mut found = Found::default();
        bounded(&mut found, "one", async { anyhow::bail!("no server") }).await;
        bounded(&mut found, "two", async { Ok(Found { absent: vec!["wash".to_owned()], ..Found::default() }) }).await;
        assert_eq!(found.failed[0].why, "no server");
        assert_eq!(found.absent, ["wash"]);
    }
}
