//! `POST /v1/services/{name}/ramp`: what whoever leads a ramp over several hosts says of it, and what it is told.
//!
//! Only reads and writes; what follows from it is `system`'s.

use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    service::Ramp,
    system::{Rules, Standing, Word},
};
use gateway::body::Body;

const BODY_MAX_BYTES: usize = 4096;

/// As it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    version: String,
    percent: Option<u8>,
    back: Option<String>,
}

/// The version that it is about, and what is said of it.
///
/// # Errors
/// What to send instead.
pub(super) async fn word(body: Body) -> Result<(String, Word), &'static str> {
    let body = Limited::new(body, BODY_MAX_BYTES).collect().await.map_err(|_| "It has at most 4 KiB")?;
    read(&body.to_bytes())
}

fn read(body: &[u8]) -> Result<(String, Word), &'static str> {
    let wanted =
        "Send `{\"version\": \"…\"}`, with `\"percent\": 25` for a share of 1 to 100, or with `\"back\": \"why\"`";
    let sent: Sent = serde_json::from_slice(body).map_err(|_| wanted)?;
    match (sent.percent, sent.back) {
        (None, Some(reason)) => Ok((sent.version, Word::Back(reason))),
        (percent, None) if percent.is_none_or(|percent| (1..=100).contains(&percent)) => {
            Ok((sent.version, Word::Share(percent)))
        }
        _ => Err(wanted),
    }
}

/// How it does, and by which rules it is to be judged.
pub(super) fn told(ramp: &Ramp) -> Value {
    let (standing, mut told) = (Standing::of(ramp), super::status::ramp(ramp));
    told["answered"] = json!(standing.answered);
    told["rules"] = json!(Rules::from(&ramp.version.settings().ramp));
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_share_or_back_and_nothing_else() {
        let share = |percent| Ok(("1".to_owned(), Word::Share(percent)));
        assert_eq!(read(br#"{"version": "1"}"#), share(None));
        assert_eq!(read(br#"{"version": "1", "percent": 100}"#), share(Some(100)));
        assert_eq!(read(br#"{"version": "1", "back": "why"}"#), Ok(("1".to_owned(), Word::Back("why".to_owned()))));
        for other in [
            r#"{"percent": 5}"#,
            r#"{"version": "1", "percent": 0}"#,
            r#"{"version": "1", "percent": 101}"#,
            r#"{"version": "1", "percent": 5, "back": "why"}"#,
            r#"{"version": "1", "more": 5}"#,
            "",
        ] {
            assert!(read(other.as_bytes()).is_err(), "{other}");
        }
    }
}
