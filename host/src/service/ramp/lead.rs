//! A ramp that is led from outside, over several hosts: what was said of it last, and until when that holds.
//!
//! Whoever leads it says so again and again. One that is not heard of any more leads nothing, and the build goes back.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// For how long a word holds. Whoever leads is a command on another machine, either of which may stand still for a while.
pub const LEASE: Duration = Duration::from_secs(45);

/// What was said last.
#[derive(Debug)]
pub struct Lead(watch::Sender<Said>);

#[derive(Debug, Clone, Copy)]
pub struct Said {
    /// The share, per cent; a hundred: it shall go live.
    pub percent: u8,
    until: Instant,
}

impl Said {
    fn now(percent: u8) -> Self {
        Self { percent, until: Instant::now() + LEASE }
    }

    /// Whether nobody has said it again.
    pub fn is_over(&self) -> bool {
        Instant::now() > self.until
    }
}

impl Lead {
    pub(super) fn new(percent: u8) -> Self {
        Self(watch::Sender::new(Said::now(percent)))
    }

    /// Somebody leads it still, and wants this share of it; a share never gets smaller.
    pub fn hear(&self, percent: Option<u8>) {
        self.0.send_modify(|word| *word = Said::now(percent.unwrap_or_default().max(word.percent)));
    }

    /// What is said now, and each change of it.
    pub fn words(&self) -> watch::Receiver<Said> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_for_its_time_and_a_share_never_gets_smaller() {
        let lead = Lead::new(5);
        let words = lead.words();
        let said = |percent| {
            lead.hear(percent);
            words.borrow().percent
        };
        assert_eq!([said(None), said(Some(25)), said(Some(5)), said(None), said(Some(100))], [5, 25, 25, 25, 100]);
        assert!(!words.borrow().is_over());
        let late = Said { until: Instant::now() - Duration::from_millis(1), ..*words.borrow() };
        assert!(late.is_over());
    }
}
