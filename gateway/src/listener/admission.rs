//! How many connections there may be, in all and from one client address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::places::{Place, Places};

/// Counts the connections of all listeners, and may allow more or fewer while they accept. Bounded by
/// itself: an address is remembered only while it has a connection.
#[derive(Debug, Clone)]
pub struct Admission {
    all: Arc<Places>,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// Whoever waits with a place hears when it changes.
    per_address_max: watch::Sender<usize>,
}

/// One admitted connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    address: IpAddr,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _place: Place,
}

impl Admission {
    /// Open connections over all addresses; further ones wait in the kernel's backlog. Half of them may
    /// come from one client address (IPv6: one /64), further ones are closed: enough for a proxy in front,
    /// and nobody can take all.
    pub fn new(connections_max: NonZeroUsize) -> Self {
        Self::with(connections_max, half(connections_max))
    }

    pub(crate) fn with(connections_max: NonZeroUsize, per_address_max: usize) -> Self {
        Self {
            all: Places::new(connections_max.get()),
            addresses: Arc::default(),
            per_address_max: watch::Sender::new(per_address_max),
        }
    }

    /// From now on so many. Those that are open stay; while they are more than that, none is accepted.
    pub fn resize(&self, connections_max: NonZeroUsize) {
        self.all.resize(connections_max.get());
        self.per_address_max.send_replace(half(connections_max));
    }

    /// Waits for room for one more connection. Cancel safe.
    pub(super) async fn room(&self) -> Place {
        self.all.take().await.expect("the places are never closed")
    }

    /// Tells when what is allowed has changed since this was called: then room that is held is to be given
    /// back first.
    pub(super) fn resized(&self) -> watch::Receiver<usize> {
        self.per_address_max.subscribe()
    }

    /// Uses `place` for a connection from `ip`; `None` if that address has its share.
    pub(super) fn admit(&self, place: Place, ip: IpAddr) -> Option<Admitted> {
        let address = client(ip);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = addresses.get(&address).copied().unwrap_or_default();
        if count >= *self.per_address_max.borrow() {
            return None;
        }
        addresses.insert(address, count + 1);
        Some(Admitted { address, addresses: self.addresses.clone(), _place: place })
    }
}

fn half(connections_max: NonZeroUsize) -> usize {
    connections_max.get().div_ceil(2)
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
        let admission = Admission::with(NonZeroUsize::new(10).unwrap(), 2);
        let (here, there) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = admission.admit(admission.room().await, here).unwrap();
        let _second = admission.admit(admission.room().await, here).unwrap();
        assert!(admission.admit(admission.room().await, here).is_none());
        assert!(admission.admit(admission.room().await, there).is_some());
        drop(first);
        assert!(admission.admit(admission.room().await, here).is_some());
        assert_eq!(admission.addresses.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_share_of_an_address_follows_when_there_are_more_or_fewer() {
        let connections = |number| NonZeroUsize::new(number).unwrap();
        let (admission, here) = (Admission::new(connections(2)), "192.0.2.1".parse().unwrap());
        let first = admission.admit(admission.room().await, here).unwrap();
        assert!(admission.admit(admission.room().await, here).is_none());
        admission.resize(connections(4));
        let second = admission.admit(admission.room().await, here).unwrap();
        admission.resize(connections(2));
        drop(first);
        assert!(admission.admit(admission.room().await, here).is_none(), "one is its share again");
        drop(second);
        assert!(admission.admit(admission.room().await, here).is_some());
    }

    #[test]
    fn ipv6_clients_are_counted_by_network_and_mapped_ones_as_ipv4() {
        let of = |text: &str| client(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
