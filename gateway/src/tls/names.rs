//! Whom a client's certificate names: RFC 5280 4.2.1.6, as services use it.
//!
//! The chain was judged before; here it is only read. Of a SPIFFE ID the last part counts: `spiffe://shop/orders`
//! names `orders`.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

/// More names than any service has.
const NAMES_MAX: usize = 32;

/// None of a certificate that cannot be read.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Arc<[Arc<str>]> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Arc::default() };
    let of_uris = certificate.valid_uri_names().filter_map(|uri| {
        let path = uri.strip_prefix("spiffe://")?.split_once('/')?.1;
        path.rsplit('/').next().filter(|name| !name.is_empty())
    });
    certificate.valid_dns_names().chain(of_uris).take(NAMES_MAX).map(Arc::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dns_and_the_last_part_of_spiffe_ids_count() {
        let mut wanted = rcgen::CertificateParams::new(vec!["orders".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        for uri in ["spiffe://shop.example/ns/default/users", "https://shop.example/admin", "spiffe://shop.example"] {
            wanted.subject_alt_names.push(rcgen::SanType::URI(uri.try_into().unwrap()));
        }
        let certificate = wanted.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let names = names(certificate.der());
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["orders", "users"]);
        assert!(super::names(&CertificateDer::from(vec![1, 2, 3])).is_empty());
    }
}
