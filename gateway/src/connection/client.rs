//! Who a connection's client is by its certificate, and whether that still holds.
//!
//! A connection may live longer than what it was judged by. So a certificate is judged again, with the authorities of now,
//! when those have changed and when it has ended: before the next request, not on the way of each.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustls_pki_types::{CertificateDer, UnixTime};

use crate::{
    tls::{Tls, expiry, names},
    trust::PeerNames,
};

/// The client of one connection.
pub(super) struct Client {
    tls: Tls,
    chain: Vec<CertificateDer<'static>>,
    names: PeerNames,
    judged: Mutex<Judged>,
}

/// The last word on it.
struct Judged {
    /// Which authorities were asked.
    by: u64,
    /// It holds until then.
    until: SystemTime,
    is_good: bool,
}

impl Client {
    /// The one with this `chain`, its own certificate first, as the authorities `by` have just judged it.
    pub(super) fn of(tls: &Tls, chain: &[CertificateDer<'_>], by: u64) -> Option<Self> {
        let own = chain.first()?;
        let judged = Mutex::new(Judged { by, until: end(own), is_good: true });
        let names = PeerNames(names(own));
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Some(Self { tls: tls.clone(), chain, names, judged })
    }

    /// Whom its certificate names, while that is good.
    pub(super) fn names(&self) -> Option<&PeerNames> {
        self.is_good(SystemTime::now()).then_some(&self.names)
    }

    fn is_good(&self, now: SystemTime) -> bool {
        // A panic while it was held left nothing half done.
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.by == self.tls.authorities() && now < judged.until {
            return judged.is_good;
        }
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (by, verdict) = self.tls.judge(&self.chain, UnixTime::since_unix_epoch(since_1970));
        let is_good = verdict.is_ok();
        if let (true, Err(reason)) = (judged.is_good, verdict) {
            self.tls.told(format_args!("{reason}, of {}", Arc::clone(&self.names.0).join(", ")));
        }
        let until = self.chain.first().filter(|_| is_good).map_or_else(|| far(now), end);
        *judged = Judged { by, until, is_good };
        is_good
    }
}

/// Until when it is good; one that does not say so in a way we read is judged anew for each request.
fn end(certificate: &CertificateDer<'_>) -> SystemTime {
    expiry::not_after(certificate).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What has ended stays so.
fn far(now: SystemTime) -> SystemTime {
    now.checked_add(Duration::from_secs(60 * 60)).unwrap_or(now)
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Client").field(&self.names).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;
    use crate::tls::{
        Files,
        tests::{Place, made},
    };

    struct Authority(String, Issuer<'static, KeyPair>);

    impl Authority {
        fn new() -> Self {
            let mut wanted = CertificateParams::new(Vec::new()).unwrap();
            wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            Self(wanted.self_signed(&key).unwrap().pem(), Issuer::new(wanted, key))
        }

        fn vouches(&self, until: i32) -> CertificateDer<'static> {
            let mut wanted = CertificateParams::new(["front".to_owned()]).unwrap();
            wanted.not_after = rcgen::date_time_ymd(until, 1, 1);
            wanted.signed_by(&KeyPair::generate().unwrap(), &self.1).unwrap().der().clone()
        }
    }

    #[test]
    fn a_client_is_judged_again_by_the_authorities_of_now_and_when_its_certificate_ends() {
        let (place, one, other) = (Place::new(), Authority::new(), Authority::new());
        place.write("", &made(2041));
        let authorities = place.path("ca.pem");
        fs::write(&authorities, &one.0).unwrap();
        let files = Files { client_ca: Some(authorities.clone()), ..place.files("") };
        let tls = Tls::read(files).unwrap();
        let (_, by) = tls.acceptor();
        let client = Client::of(&tls, &[one.vouches(2042)], by).unwrap();
        assert_eq!(client.names().map(|names| names.0.to_vec()), Some(vec![Arc::from("front")]));

        // Another certificate of ours concerns nobody else's.
        place.write("", &made(2043));
        assert!(tls.refresh().unwrap() && client.names().is_some());
        fs::write(&authorities, format!("{}{}", one.0, other.0)).unwrap();
        assert!(tls.refresh().unwrap() && client.names().is_some(), "its own is among them");
        fs::write(&authorities, &other.0).unwrap();
        assert!(tls.refresh().unwrap() && client.names().is_none(), "nobody vouches for it");
        fs::write(&authorities, &one.0).unwrap();
        assert!(tls.refresh().unwrap() && client.names().is_some());

        let at = |year: u64| SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600);
        assert!(client.is_good(at(2040)));
        assert!(!client.is_good(at(2045)), "it has ended");
    }
}
