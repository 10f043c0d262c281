//! Whose turn it is on this thread: that of one test at a time, or of none. What the one before has left is not seen.

use std::{
    cell::{Cell, RefCell},
    thread::LocalKey,
};

thread_local! {
    /// How many have begun on this thread, and whether the last of them goes on.
    static TURN: Cell<(u64, bool)> = const { Cell::new((0, false)) };
}

/// What is kept of one turn.
#[derive(Default)]
pub(crate) struct Kept<T>(RefCell<(u64, T)>);

/// Begins anew.
///
/// # Panics
/// When the one before has not ended.
pub(crate) fn begin() {
    let (count, goes_on) = TURN.get();
    assert!(!goes_on, "there is a `Fake` on this thread already: a test has one");
    TURN.set((count + 1, true));
}

pub(crate) fn end() {
    let (count, _) = TURN.get();
    TURN.set((count, false));
}

/// Works on what is kept of this turn. `call` is what a service has called, as it is written.
///
/// # Panics
/// When there is none, with what to write.
#[track_caller]
pub(crate) fn with<T: Default, R>(kept: &'static LocalKey<Kept<T>>, call: &str, work: impl FnOnce(&mut T) -> R) -> R {
    let (count, goes_on) = TURN.get();
    assert!(
        goes_on,
        "{call} was called outside of a component, and nothing stands in for the host: begin the test with \
         `let fake = sdk::testing::Fake::new();`"
    );
    kept.with(|kept| {
        let mut kept = kept.0.borrow_mut();
        if kept.0 != count {
            *kept = (count, T::default());
        }
        work(&mut kept.1)
    })
}
