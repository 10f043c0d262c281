//! PostgreSQL's binary `numeric`, printed exactly.
//!
//! The form is four 16-bit words (digit count, weight, sign, display scale) and then digits of
//! base 10 000 (`numeric_send` in PostgreSQL's `numeric.c`). Parameters go the other way as text,
//! so only printing is needed; [`is_numeric`] refuses early what the server would refuse.

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// A numeric that is understood and not printed yet: it may be 10 bytes and print 131 072 characters.
pub(super) struct Numeric<'a> {
    digits: &'a [[u8; 2]],
    weight: i32,
    sign: u16,
    scale: usize,
}

impl<'a> Numeric<'a> {
    /// `None` if these bytes are no numeric.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<2>();
        let &[count, weight, sign, scale] = words.first_chunk::<4>()?;
        let (digits, sign) = (&words[4..], u16::from_be_bytes(sign));
        let is_whole = rest.is_empty() && digits.len() == usize::from(u16::from_be_bytes(count));
        if !is_whole || ![0, NEGATIVE, NAN, INFINITY, NEGATIVE_INFINITY].contains(&sign) {
            return None;
        }
        let (weight, scale) = (i32::from(i16::from_be_bytes(weight)), usize::from(u16::from_be_bytes(scale)));
        Some(Self { digits, weight, sign, scale })
    }

    /// Bytes of the text, at most.
    pub(super) fn length_max(&self) -> usize {
        let whole = usize::try_from(self.weight).map_or(1, |weight| 4 * (weight + 1));
        // A sign, a point, and digits that are cut off again.
        whole + self.scale + 5
    }

    /// The text that `::text` gives.
    pub(super) fn print(&self) -> String {
        let mut text = String::with_capacity(self.length_max());
        match self.sign {
            NAN => return "NaN".to_owned(),
            INFINITY => return "Infinity".to_owned(),
            NEGATIVE_INFINITY => return "-Infinity".to_owned(),
            NEGATIVE => text.push('-'),
            _ => {}
        }
        self.print_whole(&mut text);
        self.print_fraction(&mut text);
        text
    }

    /// Places without a digit are zeros: before the first, after the last.
    fn digit(&self, place: i32) -> u16 {
        usize::try_from(self.weight - place)
            .ok()
            .and_then(|index| self.digits.get(index))
            .map_or(0, |word| u16::from_be_bytes(*word))
    }

    fn print_whole(&self, text: &mut String) {
        if self.weight < 0 {
            text.push('0');
            return;
        }
        let first = four(self.digit(self.weight));
        let shown = first.iter().position(|digit| *digit != b'0').unwrap_or(3);
        first[shown..].iter().for_each(|digit| text.push(char::from(*digit)));
        for place in (0..self.weight).rev() {
            four(self.digit(place)).iter().for_each(|digit| text.push(char::from(*digit)));
        }
    }

    fn print_fraction(&self, text: &mut String) {
        if self.scale == 0 {
            return;
        }
        text.push('.');
        let end = text.len() + self.scale;
        let mut place = -1;
        while text.len() < end {
            four(self.digit(place)).iter().for_each(|digit| text.push(char::from(*digit)));
            place -= 1;
        }
        text.truncate(end);
    }
}

/// Of a number below 10 000; of another one, which no server sends, its last four digits.
fn four(number: u16) -> [u8; 4] {
    [1000, 100, 10, 1].map(|power| b'0' + (number / power % 10) as u8)
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
        check(&[1, 2, 0, 0, 1], "100000000");
    }

    #[test]
    fn what_is_no_numeric_is_not_printed() {
        assert!(Numeric::read(&[]).is_none());
        assert!(Numeric::read(&binary(&[2, 0, 0, 0, 1])).is_none());
        assert!(Numeric::read(&binary(&[0, 0, 1, 0])).is_none());
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
        let bytes = binary(words);
        let numeric = Numeric::read(&bytes).unwrap();
        assert_eq!(numeric.print(), text);
        assert!(text.len() <= numeric.length_max() && numeric.length_max() <= text.len() + 16, "{text}");
    }
}
