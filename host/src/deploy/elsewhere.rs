//! The services of a manifest that run elsewhere, ready to be asked.
//!
//! Nothing of it can fail: who is not there is found out by the first request, and by checks.

use std::{collections::BTreeMap, sync::Arc};

use gateway::call::Callee;

use super::Fate;
use crate::{service::Remote, telemetry::counts::Counts};
use backend::{http::Outbound, identity::Voucher, upstream::Upstream};
use manifest::UpstreamSettings;

/// Services elsewhere by name.
pub type Remotes = BTreeMap<Arc<str>, Arc<Elsewhere>>;

/// A service elsewhere; with other settings it is another one.
pub struct Elsewhere {
    pub settings: UpstreamSettings,
    pub remote: Arc<Remote>,
    /// The same, for the services that call it.
    pub callee: Arc<Callee>,
}

/// Those that `wanted` describes. One that is the same as `before` is not touched; one with other
/// settings goes on counting, has connections of its own, and begins with the addresses that were found.
pub fn elsewhere(
    wanted: &BTreeMap<Arc<str>, UpstreamSettings>,
    before: Option<&Remotes>,
    (outbound, voucher): (&Outbound, Option<&Arc<Voucher>>),
    counts: &Counts,
) -> Remotes {
    let one = |(name, settings): (&Arc<str>, &UpstreamSettings)| {
        let same_name = before.and_then(|before| before.get(name));
        if let Some(same) = same_name.filter(|old| old.settings == *settings) {
            return (name.clone(), same.clone());
        }
        let upstream = Upstream::after(settings, outbound, same_name.map(|old| &old.remote.upstream));
        let remote = Remote::new(settings, upstream, counts.service(name), voucher);
        let remote = Arc::new(match same_name {
            Some(old) => remote.after(&old.remote),
            None => remote,
        });
        let callee = Arc::new(Callee::new(name.clone(), remote.clone()));
        (name.clone(), Arc::new(Elsewhere { settings: settings.clone(), remote, callee }))
    };
    wanted.iter().map(one).collect()
}

/// What a manifest means for them, beside `fates` of the components.
pub fn fates(before: Option<&Remotes>, now: &Remotes, fates: &mut BTreeMap<Arc<str>, Fate>) {
    let were = |name: &Arc<str>| before.and_then(|before| before.get(name));
    for (name, new) in now {
        let fate = match (were(name), fates.get(name)) {
            (Some(old), _) if Arc::ptr_eq(old, new) => Fate::Kept,
            // It was a component.
            (Some(_), _) | (None, Some(_)) => Fate::Changed,
            (None, None) => Fate::Added,
        };
        fates.insert(name.clone(), fate);
    }
    for name in before.into_iter().flat_map(Remotes::keys).filter(|name| !now.contains_key(*name)) {
        match fates.get_mut(name) {
            Some(fate) => *fate = Fate::Changed,
            None => _ = fates.insert(name.clone(), Fate::Removed),
        }
    }
}
