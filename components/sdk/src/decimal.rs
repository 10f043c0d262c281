//! Reads a JSON number exactly: no binary floating point, and so no rounding.

/// The number times ten to the `places`, if that is a whole number of at most eighteen digits:
/// with two places, `19.99` is 1999, and so are `19.990` and `1999e-2`; `19.999` is none.
pub fn scaled(number: &str, places: i64) -> Option<i64> {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    // Too long an exponent is no exponent: the number is out of every range, or no whole one.
    let exponent: i64 = exponent.parse().ok().filter(|exponent: &i64| exponent.abs() < 1_000_000_000)?;
    let length = |length: usize| i64::try_from(length).ok();
    let zeros = exponent + places + length(trailing)? - length(fraction.len())?;
    let zeros = usize::try_from(zeros).ok().filter(|zeros| significant.len() + zeros <= 18)?;
    let value: i64 = format!("{significant}{}", "0".repeat(zeros)).parse().ok()?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_what_it_is_however_it_is_written() {
        for same in ["20", "20.0", "20.00", "2e1", "2E+1", "0.2e2", "2000e-2", "20.000000000000000000000000000"] {
            assert_eq!(scaled(same, 2), Some(2000), "{same}");
            assert_eq!(scaled(same, 0), Some(20), "{same}");
        }
        for zero in ["0", "-0", "0.00", "0e99", "-0.0e-7", "0e99999999999999999999"] {
            assert_eq!(scaled(zero, 2), Some(0), "{zero}");
        }
        assert_eq!(scaled("-19.99", 2), Some(-1999));
        assert_eq!(scaled("0.01", 2), Some(1));
        assert_eq!(scaled("100000000000000001", 0), Some(100_000_000_000_000_001));
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for (number, places) in [("19.999", 2), ("0.001", 2), ("1e-3", 2), ("0.5", 0), ("1e99", 2)] {
            assert_eq!(scaled(number, places), None, "{number}");
        }
        for number in ["1e999999999999999999999", "1e-999999999999999999999", "1000000000000000000", "19.990000000001"]
        {
            assert_eq!(scaled(number, 2), None, "{number}");
        }
    }
}
