//! Long work in short turns: whoever reads a large answer lets others run.

use std::time::{Duration, Instant};

/// What may pass without a pause. A deadline around the work is looked at in each pause.
const TURN: Duration = Duration::from_millis(2);

/// When the current turn began.
#[derive(Debug)]
pub struct Pace(Instant);

impl Pace {
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Lets others run if this turn is over. Cancel safe.
    pub async fn step(&mut self) {
        if self.0.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.0 = Instant::now();
        }
    }
}
