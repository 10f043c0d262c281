//! `tracestate` of W3C Trace Context: other vendors' notes, passed on whole or not at all.
//!
//! Decides only whether the list is valid; nothing is ever added to it, reordered or cut.

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// List members that are passed on; more make the whole list invalid (W3C 3.3.1.1).
const MEMBERS_MAX: usize = 32;
/// All headers together. The standard asks for 512 at least; 32 members of full length that are
/// sent on would make every head of a chain huge.
const BYTES_MAX: usize = 4096;
const KEY_BYTES_MAX: usize = 256;
const TENANT_BYTES_MAX: usize = 241;
const SYSTEM_BYTES_MAX: usize = 14;
const VALUE_BYTES_MAX: usize = 256;

/// All `tracestate` headers as one, or `None` if there is no member or any is invalid.
pub(super) fn combined(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(TRACESTATE).iter();
    let first = values.next()?;
    let mut total = first.len();
    let mut members = members_of(first)?;
    let Some(second) = values.next() else {
        return (1..=MEMBERS_MAX)
            .contains(&members)
            .then_some(())
            .filter(|()| total <= BYTES_MAX)
            .map(|()| first.clone());
    };
    let mut joined = first.as_bytes().to_vec();
    for value in std::iter::once(second).chain(values) {
        total += value.len() + 1;
        if total > BYTES_MAX {
            return None;
        }
        members += members_of(value)?;
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes());
    }
    if !(1..=MEMBERS_MAX).contains(&members) {
        return None;
    }
    HeaderValue::from_bytes(&joined).ok()
}

/// How many members a header has, `None` if one is invalid. Empty members are allowed and do not
/// count.
fn members_of(value: &HeaderValue) -> Option<usize> {
    let members = value.as_bytes().split(|byte| *byte == b',').map(trimmed).filter(|member| !member.is_empty());
    members.map(|member| is_member(member).then_some(1)).sum()
}

fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
        return false;
    };
    is_key(&member[..equals]) && is_value(&member[equals + 1..])
}

/// `simple` or `tenant@system`. A simple key may begin with a digit, as level 2 allows.
fn is_key(key: &[u8]) -> bool {
    match key.iter().position(|byte| *byte == b'@') {
        None => is_word(key, KEY_BYTES_MAX),
        Some(at) => {
            let system = &key[at + 1..];
            is_word(&key[..at], TENANT_BYTES_MAX) && is_word(system, SYSTEM_BYTES_MAX) && system[0].is_ascii_lowercase()
        }
    }
}

fn is_word(word: &[u8], bytes_max: usize) -> bool {
    let is_start = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_char = |byte: u8| is_start(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/');
    (1..=bytes_max).contains(&word.len()) && is_start(word[0]) && word.iter().copied().all(is_char)
}

/// Printable ASCII without `=`; the split has taken the commas and trimming the final blanks.
fn is_value(value: &[u8]) -> bool {
    (1..=VALUE_BYTES_MAX).contains(&value.len())
        && value.iter().all(|byte| matches!(byte, 0x20..=0x7e) && *byte != b'=')
}

/// Without the optional white space of RFC 9110 5.6.3.
pub(super) fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_list_passes_and_several_headers_become_one() {
        check(&["foo=1"], Some("foo=1"));
        check(&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], Some("foo=1,bar=2,rojo=1,congo=2,baz=3"));
        check(&["foo=1", ""], Some("foo=1,"));
        check(&["", "foo=1"], Some(",foo=1"));
        check(&["foo=1 \t , \t bar=2, \t baz=3"], Some("foo=1 \t , \t bar=2, \t baz=3"));
        check(&["foo=1,foo=1"], Some("foo=1,foo=1"));
        check(&["a1_-*/=!\"#$%&'()*+-./:;<>?@[]^_`{|}~"], Some("a1_-*/=!\"#$%&'()*+-./:;<>?@[]^_`{|}~"));
        check(&["0tenant@sys=1"], Some("0tenant@sys=1"));
        for key in ["z".repeat(256), format!("{}@{}", "t".repeat(241), "v".repeat(14))] {
            let list = format!("foo=1,{key}=1");
            check(&[&list], Some(&list));
        }
    }

    #[test]
    fn an_invalid_list_is_dropped_whole() {
        let illegal =
            ["foo =1", "FOO=1", "foo.bar=1", "foo@=1,bar=2", "@foo=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2"];
        for list in illegal.into_iter().chain(["", ",", "foo", "foo=", "foo=1=2", "=1", "foo@1=1", "foo=\u{e9}"]) {
            check(&[list], None);
        }
        for key in ["z".repeat(257), format!("{}@v", "t".repeat(242)), format!("t@{}", "v".repeat(15))] {
            check(&[&format!("foo=1,{key}=1")], None);
        }
        check(&["foo=1", "BAD=1"], None);
        check(&[&format!("foo={}", "x".repeat(257))], None);
    }

    #[test]
    fn thirty_two_members_pass_and_thirty_three_do_not() {
        let list = |count: usize| (0..count).map(|n| format!("bar{n:02}=1")).collect::<Vec<_>>().join(",");
        check(&[&list(32)], Some(&list(32)));
        check(&[&list(33)], None);
        check(&[&list(32), "one=more"], None);
        let long = (0..32).map(|n| format!("k{n}={}", "x".repeat(200))).collect::<Vec<_>>().join(",");
        check(&[&long], None);
    }

    #[track_caller]
    fn check(sent: &[&str], passed_on: Option<&str>) {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(TRACESTATE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let combined = combined(&headers);
        assert_eq!(combined.as_ref().map(|value| value.to_str().unwrap()), passed_on, "{sent:?}");
    }
}
