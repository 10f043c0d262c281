//! What a person sees while components load; nothing in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over the components of a start.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Hidden unless standard error is a terminal.
    pub(super) fn new(components: usize) -> Self {
        let bar = ProgressBar::new(components as u64);
        let style = ProgressStyle::with_template("{spinner} {pos}/{len} components  {msg}");
        bar.set_style(style.expect("the template is ours and valid"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    pub(super) fn step(&self, message: String) {
        self.0.set_message(message);
    }

    pub(super) fn loaded(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
