//! The address of something that speaks HTTP: scheme, host and port, and nothing else.

use grant::net::{Place, Target, TargetError};

pub(super) fn url_is_right(text: &str) -> Result<Target, String> {
    let wrong = |why: &str| format!("`{text}` {why}; write it like `http://10.0.0.7:4000`");
    let Some((scheme, rest)) = text.split_once("://") else { return Err(wrong("is no URL")) };
    if !matches!(scheme, "http" | "https") {
        return Err(wrong("is neither `http` nor `https`"));
    }
    if rest.trim_end_matches('/').contains(['/', '?', '#']) {
        return Err(wrong("has a path, and requests keep their own"));
    }
    let url: Target = text.parse().map_err(|error: TargetError| wrong(&format!("is no address: {error}")))?;
    match &url.place {
        Place::Name(name) if name.ends_with(".internal") && url.callee().is_some() => {
            Err(wrong("is the name of a service of this host, which has no address"))
        }
        Place::Address(address) if address.is_unspecified() || address.is_multicast() => {
            Err(wrong("is an address that nobody can be asked at"))
        }
        Place::Name(_) | Place::Address(_) => Ok(url),
    }
}
