//! What the other hosts of this system run, taken over at a start that `discovery.consul.take_builds` wants it of.
//!
//! Decides which build is the current one: that of most hosts which loaded the same file as we, the newest where as many
//! have another. A host with another file is of another deployment, and has no say. What is taken is written into the
//! history as if it had been swapped in here, and the start goes on from there: its permissions are the manifest's, and a
//! build that does not start gives way to the file. Nobody who is away, or lies, stops a start.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde::Deserialize;
use tokio::{task::JoinSet, time::timeout};

use super::Ground;
use crate::{
    component::{Digest, Entry, History, Outcome, Start},
    deploy::now,
};
use backend::upstream::{FoundHost, Sibling, hosts};
use document::problem::chain;
use manifest::{Manifest, ServiceSettings};

/// What all of it may take.
const TAKING_MAX: Duration = Duration::from_secs(180);
/// Who wants it, as histories call them.
const BY: &str = "take_builds";
/// More hosts are not asked.
const SIBLINGS_MAX: usize = 16;

/// Another host, and what it says of its services.
struct Told {
    url: String,
    sibling: Sibling,
    services: Vec<ToldService>,
}

#[derive(Deserialize)]
struct Envelope {
    data: Status,
}

#[derive(Deserialize)]
struct Status {
    name: String,
    services: Vec<ToldService>,
}

/// Members that we look at.
#[derive(Deserialize)]
struct ToldService {
    name: String,
    digest: Digest,
    /// What its manifest's file was when it was last loaded.
    file: Option<Digest>,
    /// When the build went live.
    since: Option<String>,
}

/// Takes over what they run, where that is newer. `own` is our gateway, as Consul may know it.
pub(super) async fn take_over(ground: &Ground, manifest: &Manifest, own: &(String, u16)) {
    if timeout(TAKING_MAX, taken_over(ground, manifest, own)).await.is_err() {
        tracing::warn!(
            "taking over the builds of other hosts took longer than {TAKING_MAX:?}; the start goes on without"
        );
    }
}

async fn taken_over(ground: &Ground, manifest: &Manifest, own: &(String, u16)) {
    let told = told(ground, manifest, own).await;
    if told.is_empty() {
        return;
    }
    for settings in manifest.services.values() {
        let settings = Arc::new(settings.clone());
        // What cannot be read is told by the start.
        let Ok(file_build) = ground.loader.read(&settings).await else { continue };
        let file = Digest::of(&file_build);
        let Some(current) = current(&told, &settings.name, file) else { continue };
        let own = match ground.loader.histories.of(&settings.name).start(file) {
            Start::Swapped(digest) => digest,
            Start::Manifest => file,
        };
        if own != current {
            take(ground, &settings, (file, file_build), current, &told).await;
        }
    }
}

/// What the hosts say that answer.
async fn told(ground: &Ground, manifest: &Manifest, own: &(String, u16)) -> Vec<Told> {
    let Some((agent, by)) = manifest.consul.as_ref().and_then(|agent| Some((agent, agent.take_builds.as_ref()?)))
    else {
        return Vec::new();
    };
    let routed = manifest.routes.iter().flat_map(|route| route.target.services());
    let routed: BTreeSet<Arc<str>> = routed.filter(|name| manifest.services.contains_key(*name)).cloned().collect();
    let routed: Vec<Arc<str>> = routed.into_iter().collect();
    let found = match hosts(agent, &ground.outbound, &routed, &manifest.name).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "Consul does not say which hosts there are; no builds are taken from them");
            return Vec::new();
        }
    };
    let others = found.into_iter().filter(|host: &FoundHost| host.gateway != *own);
    let mut asking = JoinSet::new();
    for url in others.filter_map(|host| host.admin).take(SIBLINGS_MAX) {
        match Sibling::at(&url, by, &ground.outbound) {
            Ok(sibling) => _ = asking.spawn(ask(url, sibling, manifest.name.clone())),
            Err(error) => tracing::warn!(host = url, %error, "a host is not asked for its builds"),
        }
    }
    let mut told: Vec<Told> = asking.join_all().await.into_iter().flatten().collect();
    told.sort_by(|one, other| one.url.cmp(&other.url));
    told
}

async fn ask(url: String, sibling: Sibling, system: String) -> Option<Told> {
    let answer = sibling.status().await.map_err(|error| error.to_string());
    let status = answer.and_then(|text| serde_json::from_slice::<Envelope>(&text).map_err(|error| error.to_string()));
    match status {
        Ok(Envelope { data }) if data.name == system => Some(Told { url, sibling, services: data.services }),
        Ok(_other) => {
            tracing::warn!(host = url, "a host is of another system than Consul says, and is not asked for its builds");
            None
        }
        Err(error) => {
            tracing::warn!(host = url, error, "a host does not say what it runs; no builds are taken from it");
            None
        }
    }
}

/// The build that most of them run over the same file; the newest of those that as many run.
fn current(told: &[Told], service: &str, file: Digest) -> Option<Digest> {
    let has_a_say = |of: &&ToldService| of.name == service && of.file == Some(file);
    let live = told.iter().filter_map(|told| told.services.iter().find(has_a_say));
    most(live.map(|of| (of.digest, of.since.as_deref())))
}

fn most<'a>(live: impl Iterator<Item = (Digest, Option<&'a str>)>) -> Option<Digest> {
    let mut votes: BTreeMap<Digest, (usize, Option<&str>)> = BTreeMap::new();
    for (digest, since) in live {
        let (count, newest) = votes.entry(digest).or_default();
        *count += 1;
        *newest = (*newest).max(since);
    }
    votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(digest, _)| digest)
}

/// Makes `digest` what the service runs from now on, if somebody has it.
async fn take(
    ground: &Ground,
    settings: &Arc<ServiceSettings>,
    (file, file_build): (Digest, Bytes),
    digest: Digest,
    told: &[Told],
) {
    let service = &settings.name;
    let (build, from) = match digest == file {
        true => (file_build.clone(), "this host's own file".to_owned()),
        false => match fetched(ground, service, digest, told).await {
            Some(found) => found,
            None => {
                let build = digest.short();
                tracing::warn!(%service, build, "no other host gave the build that they run; this one starts without it");
                return;
            }
        },
    };
    let version = format!("{}+{}", settings.version, digest.short());
    let reason = Some(format!("what the other hosts run; from {from}"));
    let noted = Entry { version, digest, at: now(), outcome: Outcome::Swapped, by: BY.into(), reason };
    let written = async {
        // The build before it, for a rollback.
        let begun = move |history: &mut History| {
            history.file = Some(file);
            history.advance(file);
        };
        if ground.loader.histories.of(service).file != Some(file) {
            ground.loader.remember(settings, Some(file_build), begun).await?;
        }
        let advance = move |history: &mut History| {
            history.advance(digest);
            history.note(noted);
        };
        ground.loader.remember(settings, Some(build), advance).await
    };
    match written.await {
        Ok(()) => {
            tracing::info!(%service, build = digest.short(), from, "the build that the other hosts run is taken over")
        }
        Err(error) => tracing::warn!(%service, error = %chain(&error), "the build of the other hosts cannot be kept"),
    }
}

/// The build, as we have it or as somebody gives it who runs it, and where from.
async fn fetched(ground: &Ground, service: &str, digest: Digest, told: &[Told]) -> Option<(Bytes, String)> {
    let histories = ground.loader.histories.clone();
    let kept = tokio::task::spawn_blocking(move || histories.build(&digest)).await.ok().flatten();
    if let Some(kept) = kept {
        return Some((kept.into(), "what was kept here".to_owned()));
    }
    let has_it = |told: &&Told| told.services.iter().any(|of| of.name == service && of.digest == digest);
    for Told { url, sibling, .. } in told.iter().filter(has_it) {
        match sibling.build(service, &digest.to_string()).await {
            Ok(build) if Digest::of(&build) == digest => return Some((build, url.clone())),
            Ok(_other) => {
                let build = digest.short();
                tracing::error!(%service, host = url, build, "a host sent another build than it says that it runs; it is refused");
            }
            Err(error) => tracing::warn!(%service, host = url, %error, "a host does not give the build that it runs"),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_run_is_current_and_the_newest_of_as_many() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let most = |live: &[(&str, Option<&str>)]| most(live.iter().map(|(build, since)| (digest(build), *since)));
        assert_eq!(most(&[]), None);
        assert_eq!(most(&[("a", None)]), Some(digest("a")));
        assert_eq!(most(&[("a", Some("2")), ("b", Some("9")), ("a", Some("1"))]), Some(digest("a")));
        for newest in ["a", "b"] {
            let since = |build: &str| Some(if build == newest { "2026-02" } else { "2026-01" });
            assert_eq!(most(&[("a", since("a")), ("b", since("b"))]), Some(digest(newest)));
        }
    }
}
