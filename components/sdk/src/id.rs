//! Makes ids: UUIDs of version 7 (RFC 9562, section 5.7) that sort by time.

use uuid::Uuid;

use crate::{Timestamp, random};

/// A new id for something made at `now`.
///
/// The twelve bits after the version hold the fraction of the millisecond (section 6.2, method
/// 3), so that ids made a microsecond apart sort that way too.
pub fn new_id(now: Timestamp) -> Uuid {
    from_parts(now, random::u64())
}

fn from_parts(now: Timestamp, random: u64) -> Uuid {
    let micros = now.micros().max(0).unsigned_abs();
    let (millis, fraction) = (micros / 1000, (micros % 1000) * 4096 / 1000);
    let high = (millis << 16) | 0x7000 | fraction;
    let low = (random & (u64::MAX >> 2)) | (0b10 << 62);
    Uuid::from_u64_pair(high, low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_version_7_uuid_of_its_time() {
        // The example of RFC 9562, appendix A.6: 2022-02-22T19:22:22.000Z.
        let id = from_parts(Timestamp::from_micros(1_645_557_742_000_000), 0x18C4_DC0C_0C07_398F);
        assert_eq!(id.to_string(), "017f22e2-79b0-7000-98c4-dc0c0c07398f");
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn ids_sort_by_time_within_a_millisecond() {
        let ids: Vec<_> = (0..2000).map(|micros| from_parts(Timestamp::from_micros(micros), random::u64())).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }
}
