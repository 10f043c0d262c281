//! What a service has run: which build is live, which were before, and what became of every try.
//!
//! Kept under `data` and written before a build goes live, so that after kill -9 a restart finds
//! one of the two whole. Decides which build a restart runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{
    Builds, Digest,
    durable::{private_folder, write_whole},
};

/// Builds of one service that can be rolled back to.
const LINEAGE_MAX: usize = 10;
/// Tries of one service that are remembered.
const ENTRIES_MAX: usize = 100;

/// The past of one service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The manifest's file when it was last loaded.
    pub file: Option<Digest>,
    /// Builds that went live, oldest first; the last one is live.
    pub lineage: Vec<Digest>,
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// Permissions beyond the manifest's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Accepted>,
}

/// A permission that somebody accepted with a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// As the manifest would write it.
    pub line: String,
    /// The name of the token.
    pub by: String,
    /// RFC 3339, UTC.
    pub at: String,
}

/// One try to change what runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub version: String,
    pub digest: Digest,
    /// RFC 3339, UTC.
    pub at: String,
    pub outcome: Outcome,
    /// The name of the token that asked for it; `manifest` at a start.
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Started,
    Swapped,
    Applied,
    /// It got a share of the requests.
    Ramping,
    /// Its share was taken back.
    Reverted,
    RolledBack,
    Refused,
    Superseded,
}

impl Outcome {
    /// Whether the build was live after it.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Started | Self::Swapped | Self::Applied | Self::RolledBack)
    }
}

/// What a start of the host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The manifest's file: it is new, or nothing else was ever live.
    Manifest,
    /// The build that was swapped in last; the file has not changed since.
    Swapped(Digest),
}

impl History {
    /// The live build.
    pub fn live(&self) -> Option<Digest> {
        self.lineage.last().copied()
    }

    /// The one before the live one.
    pub fn previous(&self) -> Option<Digest> {
        self.lineage.len().checked_sub(2).map(|index| self.lineage[index])
    }

    /// The manifest's file wins if it changed since it was last loaded.
    pub fn start(&self, file: Digest) -> Start {
        match self.live() {
            Some(live) if self.file == Some(file) && live != file => Start::Swapped(live),
            _ => Start::Manifest,
        }
    }

    /// `digest` goes live.
    pub fn advance(&mut self, digest: Digest) {
        if self.live() != Some(digest) {
            self.lineage.push(digest);
        }
        let excess = self.lineage.len().saturating_sub(LINEAGE_MAX);
        self.lineage.drain(..excess);
    }

    /// The live build is taken back.
    pub fn retreat(&mut self) {
        self.lineage.pop();
    }

    pub fn note(&mut self, entry: Entry) {
        self.entries.push(entry);
        let excess = self.entries.len().saturating_sub(ENTRIES_MAX);
        self.entries.drain(..excess);
    }
}

/// The histories of all services, and the builds that they name.
pub struct Histories {
    folder: PathBuf,
    builds: Builds,
    all: Mutex<BTreeMap<String, History>>,
}

impl Histories {
    /// Opens the folders `history` and `builds` under `data`. A history that cannot be read is
    /// begun anew, with a warning.
    pub fn open(data: &Path) -> io::Result<Self> {
        let folder = data.join("history");
        private_folder(&folder)?;
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let Some(service) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            match serde_json::from_slice(&fs::read(&path)?) {
                Ok(history) => _ = all.insert(service.to_owned(), history),
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "a history cannot be read and is begun anew")
                }
            }
        }
        Ok(Self { folder, builds: Builds::open(data)?, all: Mutex::new(all) })
    }

    pub fn of(&self, service: &str) -> History {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).get(service).cloned().unwrap_or_default()
    }

    /// A build that some service has run, if it is here undamaged. Blocking.
    pub fn build(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.builds.get(digest)
    }

    /// Keeps `build` and changes a history, on disk first: when this fails, nothing has changed.
    /// Builds that no history names any more are removed; one that cannot be is only a warning.
    /// Blocking.
    pub fn change(&self, service: &str, build: Option<&[u8]>, change: impl FnOnce(&mut History)) -> io::Result<()> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut history = all.get(service).cloned().unwrap_or_default();
        change(&mut history);
        if let Some(build) = build {
            self.builds.keep(&Digest::of(build), build)?;
        }
        let text = serde_json::to_vec_pretty(&history).expect("a history is JSON");
        write_whole(&self.folder.join(format!("{service}.json")), &text)?;
        all.insert(service.to_owned(), history);
        let wanted: BTreeSet<Digest> = all.values().flat_map(|history| history.lineage.iter().copied()).collect();
        if let Err(error) = self.builds.keep_only(&wanted) {
            tracing::warn!(%error, "builds that nothing needs any more cannot be removed");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    #[test]
    fn a_restart_runs_the_last_swap_until_the_file_changes() {
        let mut history = History::default();
        assert_eq!(history.start(digest("file")), Start::Manifest);
        history.file = Some(digest("file"));
        history.advance(digest("file"));
        assert_eq!(history.start(digest("file")), Start::Manifest);
        history.advance(digest("swapped"));
        assert_eq!(history.start(digest("file")), Start::Swapped(digest("swapped")));
        assert_eq!(history.start(digest("rebuilt")), Start::Manifest);
    }

    #[test]
    fn a_rollback_goes_back_step_by_step_and_no_further_than_there_is() {
        let mut history = History::default();
        ["a", "b", "b", "c"].iter().for_each(|build| history.advance(digest(build)));
        assert_eq!(history.previous(), Some(digest("b")));
        history.retreat();
        assert_eq!((history.live(), history.previous()), (Some(digest("b")), Some(digest("a"))));
        history.retreat();
        assert_eq!((history.live(), history.previous()), (Some(digest("a")), None));
    }

    #[test]
    fn histories_are_found_again_and_bounded() {
        let data = tempfile::tempdir().unwrap();
        let histories = Histories::open(data.path()).unwrap();
        for build in 0..20 {
            let build = build.to_string();
            histories.change("users", Some(build.as_bytes()), |history| history.advance(digest(&build))).unwrap();
        }
        let again = Histories::open(data.path()).unwrap();
        assert_eq!(again.of("users"), histories.of("users"));
        assert_eq!(again.of("users").lineage.len(), LINEAGE_MAX);
        let kept = (0..20).filter(|build| again.build(&digest(&build.to_string())).is_some()).count();
        assert_eq!(kept, LINEAGE_MAX);
    }

    #[test]
    fn what_somebody_left_among_the_builds_stops_nothing() {
        let data = tempfile::tempdir().unwrap();
        let histories = Histories::open(data.path()).unwrap();
        fs::create_dir(data.path().join("builds/stray")).unwrap();
        histories.change("users", Some(b"build"), |history| history.advance(digest("build"))).unwrap();
        assert_eq!(histories.of("users").live(), Some(digest("build")));
    }

    #[test]
    fn a_damaged_history_stops_nothing() {
        let data = tempfile::tempdir().unwrap();
        drop(Histories::open(data.path()).unwrap());
        fs::write(data.path().join("history/users.json"), "{").unwrap();
        assert_eq!(Histories::open(data.path()).unwrap().of("users"), History::default());
    }
}
