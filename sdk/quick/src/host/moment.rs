//! Days and microseconds since 1970 as text, as the language writes them (`Date.prototype.toISOString`).

const MICROS_OF_DAY: i64 = 86_400_000_000;

/// `2026-01-02`.
pub fn day(days: i64) -> String {
    let (year, month, day) = civil(days);
    match year {
        0..=9999 => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{}{:06}-{month:02}-{day:02}", if year < 0 { '-' } else { '+' }, year.abs()),
    }
}

/// `03:04:05.000006`.
pub fn time(micros: i64) -> String {
    let micros = micros.rem_euclid(MICROS_OF_DAY);
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    format!("{:02}:{:02}:{:02}.{rest:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `2026-01-02T03:04:05.000006`.
pub fn local(micros: i64) -> String {
    format!("{}T{}", day(micros.div_euclid(MICROS_OF_DAY)), time(micros))
}

/// Year, month and day of the proleptic Gregorian calendar, whose years begin in March here.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    (year + era * 400, month, day)
}
