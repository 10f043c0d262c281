//! A changed manifest becomes the running one, whole or not at all.
//!
//! Decides who may say what: a manifest that is sent, or the file on the machine, which may say
//! everything. What follows is the same for both, and for a start: `next`, then `commit`. Requests in
//! flight finish on what they began with.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::MutexGuard;

use super::{
    Applied, ApplyError, Surroundings, System, change,
    commit::tell_unrestricted,
    next::{self, Prepared, Wanted},
};
use crate::{
    deploy::{self, Fate, Freshness, Gone, Unfetched},
    telemetry::counts::ApplyOutcome,
};
use document::problem::{Problems, chain};
use manifest::{Confines, Loaded, Manifest};

/// A manifest that runs now.
pub struct Done {
    pub services: BTreeMap<Arc<str>, Fate>,
    pub manifest: Arc<Applied>,
    pub took: Duration,
}

/// The file as it is.
fn read(given: &Surroundings) -> Result<Loaded, Problems> {
    Manifest::load(&given.file, &given.environment).and_then(|loaded| loaded.overseen(&given.oversight))
}

impl System {
    /// Makes a manifest that was sent the running one. `by` is the name of the token that asks for it.
    /// Meant to run to its end in a task of its own.
    ///
    /// # Errors
    /// Why nothing was changed; at once while another one is being applied.
    pub async fn apply(&self, text: String, by: Arc<str>) -> Result<Done, ApplyError> {
        let Ok(_turn) = self.turn.try_lock() else { return self.counted(Err(ApplyError::Busy)) };
        let began = Instant::now();
        let (running, given) = (self.current().manifest.clone(), self.ground.given.clone());
        let reading = move || {
            let here = Manifest::load(&given.file, &given.environment).ok().map(|loaded| loaded.manifest);
            let confines = Confines::of([Some(&*running), here.as_ref()].into_iter().flatten());
            let loaded = Manifest::load_sent(&given.file, &text, &given.environment, &confines);
            let loaded = loaded.and_then(|loaded| loaded.overseen(&given.oversight)).map_err(ApplyError::Wrong)?;
            match change::refused(&running, &loaded.manifest, here.as_ref()) {
                refused if refused.is_empty() => Ok(loaded),
                refused => Err(ApplyError::Refused(refused)),
            }
        };
        self.counted(self.take_over(reading, by, began).await)
    }

    /// The manifest's file as it is now; waits for one that is being applied. For who sees the file change: nobody
    /// else asks for it.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn apply_file(&self, by: Arc<str>) -> Result<Done, ApplyError> {
        let turn = self.turn.lock().await;
        self.file(turn, by).await
    }

    /// The same for whoever has a token: at once refused while another one is being applied, so that nobody can make
    /// a queue of them.
    pub async fn reload(&self, by: Arc<str>) -> Result<Done, ApplyError> {
        match self.turn.try_lock() {
            Ok(turn) => self.file(turn, by).await,
            Err(_taken) => self.counted(Err(ApplyError::Busy)),
        }
    }

    async fn file(&self, _turn: MutexGuard<'_, ()>, by: Arc<str>) -> Result<Done, ApplyError> {
        let began = Instant::now();
        let given = self.ground.given.clone();
        let reading = move || read(&given).map_err(ApplyError::Wrong);
        self.counted(self.take_over(reading, by, began).await)
    }

    /// What the file says now; none: mistakes. Cancel safe.
    pub async fn read_file(&self) -> Option<Manifest> {
        let given = self.ground.given.clone();
        let reading = tokio::task::spawn_blocking(move || read(&given));
        Some(reading.await.ok()?.ok()?.manifest)
    }

    fn counted(&self, outcome: Result<Done, ApplyError>) -> Result<Done, ApplyError> {
        let counts = &self.loader().counts;
        counts.applied.count(match &outcome {
            Ok(_) => ApplyOutcome::Applied,
            Err(ApplyError::Wrong(_)) => ApplyOutcome::Invalid,
            Err(ApplyError::Busy | ApplyError::Refused(_) | ApplyError::NeedsRestart(_)) => ApplyOutcome::Refused,
            Err(ApplyError::Backend(_) | ApplyError::Services(_)) => ApplyOutcome::Failed,
        });
        if !matches!(outcome, Err(ApplyError::Busy)) {
            // Those, too, that never came to run. Another one that is being applied may be making some now.
            let now = self.current();
            counts.keep(|name| now.has(name));
        }
        outcome
    }

    /// Runs what `reading` reads; the caller holds the turn.
    async fn take_over(
        &self,
        reading: impl FnOnce() -> Result<Loaded, ApplyError> + Send + 'static,
        by: Arc<str>,
        began: Instant,
    ) -> Result<Done, ApplyError> {
        let broken = |_broken| ApplyError::Backend("reading the manifest broke off".to_owned());
        let loaded = tokio::task::spawn_blocking(reading).await.map_err(broken)??;
        self.fetch(&loaded.manifest).await?;
        let wanted = Wanted { manifest: loaded.manifest, digest: loaded.digest, by };
        let prepared = next::next(&self.ground, Some(&self.current()), wanted, None).await?;
        // From here on nothing can fail.
        let (services, manifest) = (prepared.fates.clone(), prepared.current.applied.clone());
        let gone = self.change_over(prepared).await;
        let done = Done { services, manifest, took: began.elapsed() };
        tell_unrestricted(&self.current().manifest);
        for warning in &loaded.warnings {
            tracing::warn!(file = %warning.file.display(), "{warning}");
        }
        self.forget(gone).await;
        let now = self.current().manifest.clone();
        // A panic in it has been logged.
        let _ = tokio::task::spawn_blocking(move || deploy::forget_others(&now)).await;
        tracing::info!(
            by = done.manifest.by,
            restart = done.manifest.restart.join(", "),
            tookMs = done.took.as_millis() as u64,
            "a changed manifest runs"
        );
        Ok(done)
    }

    /// Makes `prepared` what runs. Other hosts are sent to what goes no more before it goes, and know of what came when
    /// this returns.
    async fn change_over(&self, prepared: Prepared) -> Gone {
        let before = self.current();
        let (told_of, now) = (before.announced(), prepared.current.announced());
        let going = self.announced.leave(&told_of - &now, before.linger()).await;
        let gone = self.commit(prepared);
        drop(going);
        if now != told_of {
            self.announced.settle().await;
        }
        gone
    }

    /// Components of others are brought here first; what a tag stands for is looked at anew.
    async fn fetch(&self, manifest: &Manifest) -> Result<(), ApplyError> {
        if manifest.services.values().all(|service| service.remote.is_none()) {
            return Ok(());
        }
        let registries = deploy::registries(manifest, self.outbound(), &self.ground.given.environment);
        let fetched = deploy::fetch(manifest, &registries, Freshness::Anew).await;
        let lines = |errors: Vec<Unfetched>| errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("\n");
        fetched.map(drop).map_err(|errors| ApplyError::Backend(lines(errors)))
    }
}
