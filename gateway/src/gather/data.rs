//! The `data` of an answer in the envelope, byte for byte.
//!
//! Decides nothing about what it holds: a price of `20.00` must not come out as `20.0`, so it is
//! found and passed on, never read into numbers and printed again.

use serde::de::IgnoredAny;

/// The raw text of the one member `data` of a JSON object.
///
/// # Errors
/// A sentence for the log.
pub(super) fn data(body: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "its body is not UTF-8")?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| "its body is not JSON")?;
    let mut found = None;
    for (name, value) in Members::of(text).ok_or("its body is no JSON object")? {
        // A name may be written with escapes.
        if serde_json::from_str::<String>(name).is_ok_and(|name| name == "data") && found.replace(value).is_some() {
            return Err("its body has `data` twice");
        }
    }
    found.ok_or("its body has no `data`")
}

/// The members of an object in a text that is known to be JSON, each in its own spelling.
struct Members<'a> {
    rest: &'a str,
}

impl<'a> Members<'a> {
    fn of(json: &'a str) -> Option<Self> {
        json.trim_ascii().strip_prefix('{').map(|rest| Self { rest })
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_ascii_start();
        let (name, rest) = rest.split_at_checked(end_of_value(rest).filter(|_| rest.starts_with('"'))?)?;
        let rest = rest.trim_ascii_start().strip_prefix(':')?.trim_ascii_start();
        let (value, rest) = rest.split_at_checked(end_of_value(rest)?)?;
        self.rest = rest.trim_ascii_start().strip_prefix(',').unwrap_or_default();
        Some((name, value.trim_ascii_end()))
    }
}

/// Where the value ends that `json` begins with: at the comma or the brace behind it.
fn end_of_value(json: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            b'}' | b']' | b',' | b':' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_out_exactly_as_it_was_written() {
        for value in [
            "20.00",
            "1e400",
            "123456789012345678901234567890.10",
            "\"a\\\"},{\\\\\"",
            "null",
            "{ \"a\" : [1 , {\"data\":2}] }",
            "[]",
            "\"é\\u00e9\"",
        ] {
            for json in [
                format!(r#"{{"data":{value}}}"#),
                format!(" {{ \"success\" : true , \"data\" : {value} , \"x\":\"data\" }}\n"),
                format!(r#"{{"x":{{"data":0}},"y":["}}",{{}}],"d\u0061ta":{value}}}"#),
            ] {
                assert_eq!(data(json.as_bytes()), Ok(value), "{json}");
            }
        }
    }

    #[test]
    fn what_has_no_single_data_is_refused() {
        for (json, reason) in [
            ("", "not JSON"),
            ("{\"data\":1", "not JSON"),
            ("{\"data\":1}}", "not JSON"),
            ("{\"data\":01}", "not JSON"),
            ("{\"data\":\"\n\"}", "not JSON"),
            ("[1]", "no JSON object"),
            ("\"data\"", "no JSON object"),
            ("{}", "no `data`"),
            ("{\"x\":{\"data\":1}}", "no `data`"),
            ("{\"data\":1,\"data\":1}", "twice"),
            ("{\"data\":1,\"d\\u0061ta\":1}", "twice"),
        ] {
            assert!(data(json.as_bytes()).is_err_and(|error| error.contains(reason)), "{json}");
        }
        assert!(data(b"{\"data\":\"\xff\"}").is_err());
    }
}
