//! What a person sees while components load; nothing in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::deploy::Watch;

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
}

impl Watch for Progress {
    fn loading(&self, service: &str) {
        self.0.set_message(format!("compiling {service}"));
    }

    fn loaded(&self, service: &str, cached: bool) {
        self.0.set_message(format!("{service} {}", if cached { "from the cache" } else { "compiled" }));
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
