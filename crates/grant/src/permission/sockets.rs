//! `permissions.sockets`: whether a service may open TCP and UDP sockets of its own, to where
//! `permissions.net` leads.
//!
//! Three questions: may it open sockets at all ([`Grants::sockets`]), may it look up a name
//! ([`Grants::lookup`]), may it reach an address ([`Grants::sockets_connect`]). The last one decides
//! on the address that is really connected to: granted itself, or found under a granted name. A
//! socket speaks no scheme, so an entry of `net` with one does not open it; a deny with one does
//! close it, for a socket can speak anything.

mod reached;

use std::net::{IpAddr, SocketAddr};

use document::source::Key;

use super::{
    Permission, Reading,
    net::{Place, Scheme, Target},
};
use crate::{Denied, Fix, Granted, Grants, Import, Permissions};

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sockets(pub bool);

/// The use of sockets as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawSockets;

flag!(Sockets, "sockets", |import| import.package() == "wasi:sockets" && import.is_release());

/// A name that may be looked up, in canonical form, or an address that needs no look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup(Place);

impl Lookup {
    pub fn place(&self) -> &Place {
        &self.0
    }
}

/// Why a name is not looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupError {
    /// It is no name in any spelling that we accept.
    Invalid,
    Denied(Box<Denied>),
}

const USE_CALL: Fix = Fix::Other("call a service of this host over HTTP, at `http://NAME.internal/`");
const NO_LISTENING: Fix = Fix::Other("a component is reached through the gateway; it does not listen");
const ANY_ADDRESS: Fix = Fix::Other("bind to `0.0.0.0:0` or `[::]:0`: the system chooses the address to send from");

impl Grants {
    /// # Errors
    /// [`Denied`] when `what` (`TCP sockets`) needs a permission that the service has not.
    pub fn sockets(&self, what: &str) -> Result<Granted<RawSockets>, Denied> {
        match self.left.sockets.0 {
            true => {
                let need = || Permissions { sockets: Sockets(true), ..Permissions::default() };
                Ok(self.granted(Sockets::KEY, Some(0), need, RawSockets))
            }
            false => Err(self.denied(
                what.to_owned(),
                "`sockets` is not granted".to_owned(),
                "sockets = true".to_owned(),
                self.written.sockets.0,
            )),
        }
    }

    /// Whether a name may be looked up: some entry of `net` must allow it on some port, for sockets.
    ///
    /// # Errors
    /// [`LookupError`] with what would allow it.
    pub fn lookup(&self, name: &str) -> Result<Granted<Lookup>, LookupError> {
        let denied = |denial| LookupError::Denied(Box::new(denial));
        self.sockets(&format!("the look-up of {}", printable(name))).map_err(denied)?;
        let bare = name.parse().ok().filter(|_| name.contains(':'));
        let place = match bare {
            Some(IpAddr::V6(v6)) => Place::Address(IpAddr::V6(v6).to_canonical()),
            _ => Place::parse(name).map_err(|_invalid| LookupError::Invalid)?,
        };
        if let Place::Name(_) = &place {
            self.name_is_open(&place).map_err(denied)?;
        }
        Ok(Granted(Lookup(place)))
    }

    /// Whether a socket may connect, or send, to `to`. `names` are those that it was found under.
    ///
    /// # Errors
    /// [`Denied`] of the address itself where no name leads there; otherwise of the last name.
    pub fn sockets_connect<'n>(
        &self,
        to: SocketAddr,
        names: impl IntoIterator<Item = &'n Granted<Lookup>>,
    ) -> Result<Granted<SocketAddr>, Denied> {
        self.sockets(&to.to_string())?;
        self.reached(to, names).map(|_destination| Granted(to))
    }

    /// Whether a socket may bind to `address`: only to send from wherever the system chooses.
    ///
    /// # Errors
    /// [`Denied`] for every other address.
    pub fn sockets_bind(&self, address: SocketAddr) -> Result<(), Denied> {
        match address.ip().is_unspecified() && address.port() == 0 {
            true => Ok(()),
            false => {
                let rule = "a component has no address of its own".to_owned();
                Err(Denied {
                    service: self.service.clone(),
                    target: format!("{address} to bind to"),
                    rule,
                    fix: ANY_ADDRESS,
                })
            }
        }
    }

    /// The refusal to listen.
    pub fn no_listening(&self) -> Denied {
        let rule = "no permission lets a component listen".to_owned();
        Denied { service: self.service.clone(), target: "a port to listen on".into(), rule, fix: NO_LISTENING }
    }

    fn name_is_open(&self, place: &Place) -> Result<(), Denied> {
        let target = Target { scheme: Scheme::Raw, place: place.clone(), port: 0 };
        let told = format!("the look-up of {place}");
        let denied = |rule: String, fix| Denied { service: self.service.clone(), target: told.clone(), rule, fix };
        if target.callee().is_some() {
            return Err(denied("it is a service of this host, which no socket reaches".into(), USE_CALL));
        }
        self.name_is_allowed(&target).map_err(|(rule, fix)| denied(rule, fix))
    }
}

/// A name of a guest's own, for a line of a log.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(253).collect()
}

#[cfg(test)]
mod tests;
