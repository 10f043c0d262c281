//! Which addresses the sockets of one instance may use. The decision is the grant's; here is what it
//! needs to know: the names that addresses were found under.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use wasmtime_wasi::sockets::SocketAddrUse;

use crate::capability::asking::Asking;
use grant::{Denied, Granted, Grants, permission::sockets::Sockets, sockets::Lookup};

/// Names that an instance is remembered to have looked up; the oldest goes first.
const NAMES_MAX: usize = 64;
/// Addresses of one name.
const ADDRESSES_MAX: usize = 64;

pub(super) struct Gate {
    grants: Arc<Grants>,
    pub(super) asking: Arc<Asking>,
    names: Mutex<VecDeque<Known>>,
}

#[derive(Clone)]
struct Known {
    name: Granted<Lookup>,
    addresses: Vec<IpAddr>,
}

impl Gate {
    pub(super) fn new(grants: Arc<Grants>, asking: Arc<Asking>) -> Self {
        Self { grants, asking, names: Mutex::default() }
    }

    /// From now on these addresses are known by this name.
    pub(super) fn remember(&self, name: Granted<Lookup>, mut addresses: Vec<IpAddr>) {
        addresses.truncate(ADDRESSES_MAX);
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|known| known.name != name);
        if names.len() == NAMES_MAX {
            names.pop_front();
        }
        names.push_back(Known { name, addresses });
    }

    pub(super) fn admits(&self, address: SocketAddr, what: SocketAddrUse) -> bool {
        let decided = match what {
            SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend => self.reaches(address),
            // Whoever sends to the component is not its fault, and not heard.
            SocketAddrUse::UdpReceive => return self.reaches(address).is_ok(),
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => self.grants.sockets_bind(address),
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => Err(self.grants.no_listening()),
        };
        match decided {
            Ok(()) => true,
            Err(denial) => {
                self.asking.tell::<Sockets>(&denial);
                false
            }
        }
    }

    fn reaches(&self, address: SocketAddr) -> Result<(), Denied> {
        let found = address.ip().to_canonical();
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.iter().filter(|known| known.addresses.iter().any(|one| one.to_canonical() == found));
        self.grants.sockets_connect(address, known.map(|known| &known.name)).map(|_granted| ())
    }
}
