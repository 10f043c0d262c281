//! `permissions.sockets`: whether a service may open TCP and UDP sockets of its own. Where they lead is
//! `permissions.net`.

use document::source::Key;

use super::{Permission, Reading};

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sockets(pub bool);

impl Permission for Sockets {
    const KEY: &'static str = "sockets";
    type Raw = bool;

    fn read(raw: bool, _key: &Key<'_>, _reading: &mut Reading<'_>) -> Self {
        Self(raw)
    }

    fn within(&self, ceiling: &Self) -> Self {
        Self(self.0 && ceiling.0)
    }

    fn lacking(&self, need: &Self) -> Self {
        Self(need.0 && !self.0)
    }

    fn plus(&self, more: &Self) -> Self {
        Self(self.0 || more.0)
    }

    fn value(&self) -> Option<String> {
        self.0.then(|| "true".to_owned())
    }

    fn words(&self) -> Vec<String> {
        self.0.then(|| "sockets".to_owned()).into_iter().collect()
    }
}
