//! Promises that were rejected and that nobody has awaited: what is still so at a request's end is told then.
//!
//! The language rejects first and is awaited later, so that at the moment of a rejection nobody knows.

use std::cell::RefCell;

use rquickjs::{Ctx, Persistent, Promise, Runtime, Value};

/// So many are followed at a time, and no more: each is kept until somebody awaits it or the request ends.
const FOLLOWED_MAX: usize = 1000;
/// So many of a request are told.
const TOLD_MAX: usize = 8;

/// A promise, and why it was rejected.
type Rejected = (Persistent<Value<'static>>, Persistent<Value<'static>>);

thread_local! {
    static FOLLOWED: RefCell<Vec<Rejected>> = const { RefCell::new(Vec::new()) };
}

/// Follows what happens from now on.
pub fn follow(runtime: &Runtime) {
    runtime.set_host_promise_rejection_tracker(Some(Box::new(|ctx, promise, reason, is_awaited| {
        if is_awaited {
            drop(took(&ctx, &promise));
            return;
        }
        FOLLOWED.with_borrow_mut(|followed| {
            if followed.len() < FOLLOWED_MAX {
                followed.push((Persistent::save(&ctx, promise), Persistent::save(&ctx, reason)));
            }
        });
    })));
}

/// The engine itself has awaited it.
pub fn awaited<'js>(ctx: &Ctx<'js>, promise: &Promise<'js>) {
    drop(took(ctx, promise.as_value()));
}

/// Nobody asks any more for what was rejected until now.
pub fn forget() {
    drop(FOLLOWED.take());
}

/// The reasons that are to be told, and how many more there are. After it nothing is followed any more.
pub fn left<'js>(ctx: &Ctx<'js>) -> (Vec<Value<'js>>, usize) {
    let all = FOLLOWED.take();
    let more = all.len().saturating_sub(TOLD_MAX);
    let told = all.into_iter().take(TOLD_MAX).filter_map(|(_, reason)| reason.restore(ctx).ok());
    (told.collect(), more)
}

/// The latest are looked at first: what is awaited late is rarely old.
fn took<'js>(ctx: &Ctx<'js>, promise: &Value<'js>) -> Option<Rejected> {
    FOLLOWED.with_borrow_mut(|followed| {
        let is_it = |(one, _): &Rejected| one.clone().restore(ctx).is_ok_and(|one| one == *promise);
        followed.iter().rposition(is_it).map(|at| followed.remove(at))
    })
}
