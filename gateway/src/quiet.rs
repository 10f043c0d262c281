//! Lines of the log that anybody outside can cause: so many a second at most.
//!
//! Decides when a line is kept back, and tells the next one how many were.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Lines in a second at most.
const LINES_MAX: u32 = 5;
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Quiet(Mutex<Option<Second>>);

/// The second that the last line fell into.
#[derive(Debug)]
struct Second {
    began: Instant,
    lines: u32,
    kept_back: u64,
}

impl Quiet {
    /// Whether a line may be written now; with it, how many were not since the last one.
    pub(crate) fn may_say(&self) -> Option<u64> {
        let now = Instant::now();
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = second.get_or_insert(Second { began: now, lines: 0, kept_back: 0 });
        if now.saturating_duration_since(second.began) >= PERIOD {
            (second.began, second.lines) = (now, 0);
        }
        if second.lines == LINES_MAX {
            second.kept_back += 1;
            return None;
        }
        second.lines += 1;
        Some(std::mem::take(&mut second.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_five_lines_a_second_and_the_number_of_the_others() {
        let quiet = Quiet::default();
        let said: Vec<_> = (0..100).filter_map(|_| quiet.may_say()).collect();
        assert_eq!(said, [0; 5]);
        tokio::time::advance(PERIOD).await;
        assert_eq!([quiet.may_say(), quiet.may_say()], [Some(95), Some(0)]);
    }
}
