//! PostgreSQL counts from the year 2000, the contract from 1970.

/// Microseconds from 1970-01-01 to 2000-01-01.
pub(super) const MICROS_TO_2000: i64 = 946_684_800_000_000;
/// Days from 1970-01-01 to 2000-01-01.
pub(super) const DAYS_TO_2000: i32 = 10_957;

/// Microseconds since 1970; `None` for `infinity` and for times that only count from 2000.
pub(super) fn micros(since_2000: i64) -> Option<i64> {
    match since_2000 {
        i64::MAX | i64::MIN => None,
        finite => finite.checked_add(MICROS_TO_2000),
    }
}

/// Days since 1970; `None` for `infinity`.
pub(super) fn days(since_2000: i32) -> Option<i32> {
    match since_2000 {
        i32::MAX | i32::MIN => None,
        finite => finite.checked_add(DAYS_TO_2000),
    }
}
