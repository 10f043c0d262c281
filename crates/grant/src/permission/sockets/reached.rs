//! By which entry of `net` a socket reaches an address, and the same in words for who asks beforehand.

use std::net::{IpAddr, SocketAddr};

use super::{
    super::net::{Destination, NetDecision, Place, Scheme, Target, TargetError},
    Lookup,
};
use crate::{Denied, Granted, Grants};

impl Grants {
    /// By which destination of `net` a socket reaches `to`.
    pub(super) fn reached<'n>(
        &self,
        to: SocketAddr,
        names: impl IntoIterator<Item = &'n Granted<Lookup>>,
    ) -> Result<Granted<Destination>, Denied> {
        let address = to.ip().to_canonical();
        let reached = |place: Place| {
            let destination = self.net(&Target { scheme: Scheme::Raw, place, port: to.port() })?;
            destination.get().admit(&[address])?;
            Ok(destination)
        };
        let mut denial = match reached(Place::Address(address)) {
            Ok(granted) => return Ok(granted),
            Err(denial) => denial,
        };
        for name in names {
            match reached(name.get().place().clone()) {
                Ok(granted) => return Ok(granted),
                Err(of_name) => denial = of_name,
            }
        }
        Err(denial)
    }

    /// What becomes of a socket's look-up of, and connection to, `target` (`db.example.com:5432`), in
    /// words. `addresses` are those it resolves to, as far as they are known; one that may be
    /// reached is enough.
    ///
    /// # Errors
    /// [`TargetError`] when the text is no target.
    pub fn explain_socket(&self, target: &str, addresses: &[IpAddr]) -> Result<NetDecision, TargetError> {
        let target = Target { scheme: Scheme::Raw, ..target.parse()? };
        let decided = self.socket_decision(&target, addresses);
        Ok(NetDecision::of(decided, &self.service))
    }

    fn socket_decision(&self, target: &Target, addresses: &[IpAddr]) -> Result<String, Denied> {
        self.sockets(&target.to_string())?;
        let name = match &target.place {
            Place::Address(address) => {
                let destination = self.reached(SocketAddr::new(*address, target.port), [])?;
                return Ok(destination.get().rule());
            }
            Place::Name(name) => name,
        };
        self.name_is_open(&target.place)?;
        let lookup = Granted(Lookup(Place::Name(name.clone())));
        let mut denied = None;
        for address in addresses {
            match self.reached(SocketAddr::new(*address, target.port), [&lookup]) {
                Ok(destination) => return Ok(destination.get().rule()),
                Err(denial) => _ = denied.get_or_insert(denial),
            }
        }
        denied.map_or_else(|| self.net(target).map(|destination| destination.get().rule()), Err)
    }
}
