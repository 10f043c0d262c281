//! PostgreSQL's binary `numeric`, printed exactly.
//!
//! The form is four 16-bit words (digit count, weight, sign, display scale) and then digits of
//! base 10 000 (`numeric_send` in PostgreSQL's `numeric.c`). Parameters go the other way as text,
//! so only printing is needed; [`is_numeric`] refuses early what the server would refuse.

use std::fmt::Write;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// The text that `::text` gives; `None` if these bytes are no numeric.
pub(super) fn print(bytes: &[u8]) -> Option<String> {
    let (words, rest) = bytes.as_chunks::<2>();
    let &[count, weight, sign, scale] = words.first_chunk::<4>()?;
    let digits = &words[4..];
    if !rest.is_empty() || digits.len() != usize::from(u16::from_be_bytes(count)) {
        return None;
    }
    let mut text = String::new();
    match u16::from_be_bytes(sign) {
        0 => {}
        NEGATIVE => text.push('-'),
        NAN => return Some("NaN".to_owned()),
        INFINITY => return Some("Infinity".to_owned()),
        NEGATIVE_INFINITY => return Some("-Infinity".to_owned()),
        _ => return None,
    }
    let weight = i32::from(i16::from_be_bytes(weight));
    // Places without a digit are zeros: before the first, after the last.
    let digit = |place: i32| {
        usize::try_from(weight - place)
            .ok()
            .and_then(|index| digits.get(index))
            .map_or(0, |word| u16::from_be_bytes(*word))
    };
    print_whole(&mut text, weight, digit);
    print_fraction(&mut text, usize::from(u16::from_be_bytes(scale)), digit);
    Some(text)
}

fn print_whole(text: &mut String, weight: i32, digit: impl Fn(i32) -> u16) {
    if weight < 0 {
        text.push('0');
        return;
    }
    let mut padding = 0;
    for place in (0..=weight).rev() {
        write!(text, "{:0padding$}", digit(place)).expect("a string takes everything");
        padding = 4;
    }
}

fn print_fraction(text: &mut String, scale: usize, digit: impl Fn(i32) -> u16) {
    if scale == 0 {
        return;
    }
    text.push('.');
    let end = text.len() + scale;
    let mut place = -1;
    while text.len() < end {
        write!(text, "{:04}", digit(place)).expect("a string takes everything");
        place -= 1;
    }
    text.truncate(end);
}

/// Whether PostgreSQL would read this as a numeric: digits with an optional sign, point and
/// exponent, or one of its three names.
pub(super) fn is_numeric(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["infinity", "inf"].iter().any(|name| unsigned.eq_ignore_ascii_case(name)) {
        return true;
    }
    if text.eq_ignore_ascii_case("nan") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['+', '-']).unwrap_or(text);
        !text.is_empty() && digits(text)
    });
    !(whole.is_empty() && fraction.is_empty()) && digits(whole) && digits(fraction) && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn every_shape_prints_as_the_server_prints_it() {
        check(&[0, 0, 0, 0], "0");
        check(&[0, 0, 0, 3], "0.000");
        check(&[2, 1, 0, 0, 1, 2345], "12345");
        check(&[1, 1, NEGATIVE, 0, 7], "-70000");
        check(&[2, 0, 0, 2, 12, 5000], "12.50");
        check(&[1, 0xFFFF, 0, 4, 42], "0.0042");
        check(&[1, 0xFFFE, 0, 8, 1], "0.00000001");
        check(&[0, 0, NAN, 0], "NaN");
        check(&[0, 0, NEGATIVE_INFINITY, 0], "-Infinity");
    }

    #[test]
    fn what_is_no_numeric_is_not_printed() {
        assert_eq!(print(&[]), None);
        assert_eq!(print(&binary(&[2, 0, 0, 0, 1])), None);
        assert_eq!(print(&binary(&[0, 0, 1, 0])), None);
    }

    #[test]
    fn only_numbers_pass_as_numbers() {
        for good in ["1", "-1.5", "+.5", "5.", "1e9", "2.5E-3", "NaN", "-Infinity", " 7 "] {
            assert!(is_numeric(good), "{good}");
        }
        for bad in ["", ".", "-", "1x", "1e", "0x10", "--1", "1 2", "e5", "-nan"] {
            assert!(!is_numeric(bad), "{bad}");
        }
    }

    #[track_caller]
    fn check(words: &[u16], text: &str) {
        assert_eq!(print(&binary(words)).as_deref(), Some(text));
    }
}
