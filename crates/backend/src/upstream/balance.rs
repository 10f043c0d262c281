//! Which address a request goes to: of two that are drawn, the one with fewer requests in it.

use std::sync::Arc;

use super::{condition::Health, endpoint::Endpoint};

/// One of `all` that is well and not `avoided`, unless there is no other; then one that was put aside,
/// but never one that is down. None: all of them are.
pub(super) fn choose(all: &[Arc<Endpoint>], avoided: Option<&Arc<Endpoint>>) -> Option<Arc<Endpoint>> {
    let is_avoided = |one: &Arc<Endpoint>| avoided.is_some_and(|avoided| Arc::ptr_eq(one, avoided));
    let well = |one: &&Arc<Endpoint>| one.standing.now() == Health::Well;
    let chosen = lighter(all.iter().filter(well).filter(|one| !is_avoided(one)))
        .or_else(|| lighter(all.iter().filter(well)))
        .or_else(|| lighter(all.iter().filter(|one| one.standing.now() != Health::Down)));
    chosen.cloned()
}

/// Draws two, each pair as likely as any other.
fn lighter<'a>(all: impl Iterator<Item = &'a Arc<Endpoint>>) -> Option<&'a Arc<Endpoint>> {
    let mut drawn = [None, None];
    for (seen, one) in all.enumerate() {
        let place = if seen < 2 { seen } else { fastrand::usize(..=seen) };
        if let Some(slot) = drawn.get_mut(place) {
            *slot = Some(one);
        }
    }
    match drawn {
        [Some(first), Some(second)] => match first.load().cmp(&second.load()) {
            std::cmp::Ordering::Less => Some(first),
            std::cmp::Ordering::Greater => Some(second),
            std::cmp::Ordering::Equal => Some(if fastrand::bool() { first } else { second }),
        },
        [one, _] => one,
    }
}
