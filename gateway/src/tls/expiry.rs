//! Until when a certificate is good: RFC 5280 section 4.1, as far as that.

use std::time::{Duration, SystemTime};

use spki::der::{
    Decode as _, Error, Reader as _, SliceReader, Tag, Tagged as _,
    asn1::{AnyRef, GeneralizedTime, UtcTime},
};

/// The end of a certificate's validity; none if it is no certificate, or ends before 1970.
pub fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let since_1970 = read(certificate).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since_1970)
}

fn read(certificate: &[u8]) -> Result<Duration, Error> {
    let whole = AnyRef::from_der(certificate)?;
    let mut parts = SliceReader::new(whole.value())?;
    let to_be_signed: AnyRef<'_> = parts.decode()?;
    let mut fields = SliceReader::new(to_be_signed.value())?;
    if fields.peek_tag()?.is_context_specific() {
        let _version: AnyRef<'_> = fields.decode()?;
    }
    let [_serial, _algorithm, _issuer]: [AnyRef<'_>; 3] = [fields.decode()?, fields.decode()?, fields.decode()?];
    let validity: AnyRef<'_> = fields.decode()?;
    let mut times = SliceReader::new(validity.value())?;
    let [_not_before, not_after]: [AnyRef<'_>; 2] = [times.decode()?, times.decode()?];
    match not_after.tag() {
        Tag::UtcTime => Ok(not_after.decode_as::<UtcTime>()?.to_unix_duration()),
        _ => Ok(not_after.decode_as::<GeneralizedTime>()?.to_unix_duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_of_its_forms() {
        for (year, seconds) in [(2031, 1_924_992_000), (2049, 2_493_072_000), (2050, 2_524_608_000)] {
            let mut wanted = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
            wanted.not_after = rcgen::date_time_ymd(year, 1, 1);
            let made = wanted.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(not_after(made.der()), Some(expected), "{year}");
            assert_eq!(not_after(&made.der()[..40]), None);
        }
        assert_eq!(not_after(b""), None);
    }
}
