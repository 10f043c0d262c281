//! Which lines are told, in the syntax of `tracing-subscriber`: `info`, `info,gateway=debug`.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// # Errors
/// With what is wrong about the text, and how it is written.
pub(super) fn filter(text: &str) -> Result<EnvFilter, String> {
    let refused = |reason: &dyn std::fmt::Display| format!("`{text}`: {reason}; write `info` or `info,gateway=debug`");
    if let Some(word) = no_level(text) {
        return Err(refused(&format_args!("`{word}` is no level: there are error, warn, info, debug, trace and off")));
    }
    EnvFilter::try_new(text).map_err(|error| refused(&error))
}

/// A word that stands alone and is no level: the filter would take it for the name of a part that speaks.
fn no_level(filter: &str) -> Option<&str> {
    let words = filter.split(',').map(str::trim).filter(|part| !part.is_empty() && !part.contains(['=', '[']));
    words.into_iter().find(|word| word.parse::<LevelFilter>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_alone_must_be_a_level() {
        assert_eq!((no_level("info"), no_level("WARN,gateway=debug"), no_level("")), (None, None, None));
        assert_eq!((no_level("verbose"), no_level("info, loud")), (Some("verbose"), Some("loud")));
    }
}
