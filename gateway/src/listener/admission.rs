//! How many connections there may be, in all and from one client address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts the connections of all listeners. Bounded by itself: an address is remembered only
/// while it has a connection.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    all: Arc<Semaphore>,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
    per_address_max: usize,
}

/// One admitted connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    address: IpAddr,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    pub(super) fn new(connections_max: usize, per_address_max: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))),
            addresses: Arc::default(),
            per_address_max,
        }
    }

    /// Waits for room for one more connection. Cancel safe.
    pub(super) async fn room(&self) -> OwnedSemaphorePermit {
        self.all.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Uses `permit` for a connection from `ip`; `None` if that address has its share.
    pub(super) fn admit(&self, permit: OwnedSemaphorePermit, ip: IpAddr) -> Option<Admitted> {
        let address = client(ip);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = addresses.entry(address).or_default();
        if *count >= self.per_address_max {
            return None;
        }
        *count += 1;
        Some(Admitted { address, addresses: self.addresses.clone(), _permit: permit })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

/// Who an address stands for: an IPv4 address, or an IPv6 /64, which one client owns whole.
fn client(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_gets_its_share_and_no_more_and_gives_it_back() {
        let admission = Admission::new(10, 2);
        let (here, there) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = admission.admit(admission.room().await, here).unwrap();
        let _second = admission.admit(admission.room().await, here).unwrap();
        assert!(admission.admit(admission.room().await, here).is_none());
        assert!(admission.admit(admission.room().await, there).is_some());
        drop(first);
        assert!(admission.admit(admission.room().await, here).is_some());
        assert_eq!(admission.addresses.lock().unwrap().len(), 1);
    }

    #[test]
    fn ipv6_clients_are_counted_by_network_and_mapped_ones_as_ipv4() {
        let of = |text: &str| client(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
