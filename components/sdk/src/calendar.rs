//! Days and their names: the proleptic Gregorian calendar, counted in eras of 400 years (146 097 days) of years that begin
//! in March, so that the leap day is a year's last. A guest that knew time zones would be ten times as large.

/// Year, month and day.
pub(crate) fn date(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + 719_468; // from 0000-03-01
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day)
}

/// Days since 1970, if there is such a day.
pub(crate) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let year_in_march = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year_in_march.div_euclid(400), year_in_march.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    // The thirtieth of February is another day.
    (date(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_of_four_hundred_years_follows_the_one_before() {
        let mut before = date(-1);
        for day in 0..146_097 {
            let (year, month, day_of_month) = date(day);
            let next = match before {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, _) if day_of_month == 1 => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
            assert_eq!((year, month, day_of_month), next);
            before = next;
        }
        assert_eq!(before, (2369, 12, 31));
    }

    #[test]
    fn a_name_leads_back_to_its_day_and_what_is_no_day_to_none() {
        for day in (-200_000..200_000).step_by(17) {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), Some(day));
        }
        for (year, month, day) in
            [(2023, 2, 29), (2024, 2, 30), (2024, 4, 31), (2024, 13, 1), (2024, 0, 1), (2024, 1, 0)]
        {
            assert_eq!(days(year, month, day), None, "{year}-{month}-{day}");
        }
    }
}
