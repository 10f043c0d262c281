//! What goes on beside a test ends with it, however it ends.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Sets the flag when it goes: threads that look at it end also when the test fails, which would wait for them.
pub struct End<'a>(pub &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
