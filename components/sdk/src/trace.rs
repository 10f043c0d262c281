//! The trace id of a request, from the `traceparent` that the gateway sets (W3C Trace Context).

use crate::random;

/// The 32 hexadecimal digits; new ones where the header is absent or invalid, which is only so
/// where no gateway stands in front.
pub(crate) fn id(traceparent: Option<&str>) -> String {
    traceparent.and_then(parse).map_or_else(|| format!("{:032x}", random::u128() | 1), str::to_owned)
}

fn parse(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let id = parts.nth(1)?;
    let valid = id.len() == 32
        && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && id.bytes().any(|byte| byte != b'0');
    valid.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_s_id_is_kept_and_anything_else_becomes_a_new_one() {
        let given = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(id(Some(&format!("00-{given}-b7ad6b7169203331-01"))), given);
        let invalid =
            [None, Some(""), Some("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"), Some("00-1234")];
        for header in invalid.into_iter().chain([Some("00-00000000000000000000000000000000-b7ad6b7169203331-01")]) {
            let new = id(header);
            assert_eq!(parse(&format!("00-{new}-b7ad6b7169203331-01")), Some(new.as_str()));
        }
    }
}
