//! The end of a ramp: whoever is first decides how it ends.

use std::sync::OnceLock;

use tokio::sync::Notify;

/// Said once.
#[derive(Debug, Default)]
pub(super) struct End {
    reason: OnceLock<String>,
    told: Notify,
}

impl End {
    /// Whether this is the first word; only that counts.
    pub(super) fn say(&self, reason: String) -> bool {
        let first = self.reason.set(reason).is_ok();
        self.told.notify_one();
        first
    }

    /// The first word, when it is there. Cancel safe.
    pub(super) async fn said(&self) -> String {
        loop {
            if let Some(reason) = self.reason.get() {
                return reason.clone();
            }
            self.told.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_is_second_knows_it_and_changes_nothing() {
        let end = End::default();
        assert!(end.say("it goes live".to_owned()));
        assert!(!end.say("rolled back".to_owned()));
        assert_eq!(end.said().await, "it goes live");
    }
}
