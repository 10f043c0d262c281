//! Waiting for something that must come.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Far more than anything takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// What a look at the world says: whether it is there, or what was found.
pub trait Looked {
    type Found;

    fn found(self) -> Option<Self::Found>;
}

impl Looked for bool {
    type Found = ();

    fn found(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Looked for Option<T> {
    type Found = T;

    fn found(self) -> Self {
        self
    }
}

/// Looks again and again until it is there.
#[track_caller]
pub fn until<L: Looked>(what: &str, look: impl FnMut() -> L) -> L::Found {
    until_within(PATIENCE, what, look)
}

/// The same for what takes a busy machine longer: much to compile.
#[track_caller]
pub fn until_within<L: Looked>(patience: Duration, what: &str, mut look: impl FnMut() -> L) -> L::Found {
    let began = Instant::now();
    loop {
        if let Some(found) = look().found() {
            return found;
        }
        assert!(began.elapsed() < patience, "never: {what}");
        thread::park_timeout(LOOK);
    }
}
