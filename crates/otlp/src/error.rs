//! Why something cannot be sent, or was not taken.

use std::time::Duration;

/// Why there can be no way to a collector for some settings.
#[derive(Debug)]
pub struct InvalidSettings(pub(crate) String);

impl std::fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidSettings {}

/// Why a request was not taken.
#[derive(Debug)]
pub(crate) struct Untaken {
    /// In words.
    pub(crate) reason: String,
    /// The request itself is not wanted: it will not be the next time either.
    pub(crate) is_refusal: bool,
    /// How long the collector wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Untaken {
    pub(crate) fn for_now(reason: impl std::fmt::Display) -> Self {
        Self { reason: reason.to_string(), is_refusal: false, retry_after: None }
    }
}

/// An error and what was behind it.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
