//! Interfaces that components import, and which permissions they ask for.

use crate::Permissions;

/// An imported interface: `wasi:http/types` at `0.2.4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Import<'a> {
    /// With its package.
    pub interface: &'a str,
    pub version: &'a str,
}

/// A kind of permission that an import asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub key: &'static str,
    /// A line that grants some of it.
    pub example: &'static str,
}

impl<'a> From<&'a str> for Import<'a> {
    fn from(import: &'a str) -> Self {
        let (interface, version) = import.split_once('@').unwrap_or((import, ""));
        Self { interface, version }
    }
}

impl Import<'_> {
    pub fn package(&self) -> &str {
        self.interface.split('/').next().unwrap_or_default()
    }

    /// Of ours: at the one version that there is.
    pub(crate) fn is_ours(&self, interface: &str) -> bool {
        self.interface == interface && self.version == "0.1.0"
    }

    /// Requests to others, streamed or as plain values.
    pub(crate) fn is_outgoing_http(&self) -> bool {
        self.interface == "wasi:http/outgoing-handler" && self.is_release() || self.is_ours("archipel:http/client")
    }

    /// `0.2.N`, not a draft of it: those are other contracts.
    pub fn is_release(&self) -> bool {
        let patch = self.version.strip_prefix("0.2.");
        patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// What would grant one of `kinds`, in the words of a manifest.
pub fn examples(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.example).collect::<Vec<_>>().join(" or ")
}

impl Permissions {
    /// Whether something of one of `kinds` is granted.
    pub fn have_some_of(&self, kinds: &[Kind]) -> bool {
        let granted = self.kinds();
        kinds.iter().any(|kind| granted.contains(&kind.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_asks_for_the_kinds_that_lead_through_it() {
        let keys = |import: &str| Permissions::asked_by(import).iter().map(|kind| kind.key).collect::<Vec<_>>();
        for (import, expected) in [
            ("archipel:postgres/client@0.1.0", &["postgres"][..]),
            ("archipel:messaging/outbox@0.1.0", &["publish"]),
            ("archipel:messaging/types@0.1.0", &[]),
            ("archipel:keyvalue/store@0.1.0", &["keyvalue"]),
            ("wasi:keyvalue/store@0.2.0-draft", &["keyvalue"]),
            ("wasi:keyvalue/atomics@0.2.0-draft2", &["keyvalue"]),
            ("wasi:keyvalue/store@0.2.0-draft3", &[]),
            ("wasi:http/outgoing-handler@0.2.4", &["call", "net"]),
            ("wasi:http/types@0.2.4", &[]),
            ("archipel:http/client@0.1.0", &["call", "net"]),
            ("archipel:http/client@0.2.0", &[]),
            ("wasi:sockets/tcp@0.2.0", &["sockets"]),
            ("wasi:sockets/tcp@0.3.0", &[]),
            ("wasi:filesystem/preopens@0.2.6", &["read", "write"]),
            ("wasi:config/store@0.2.0-rc.1", &["env", "secrets"]),
            ("wasi:config/store@0.2.0-draft-2024-09-27", &["env", "secrets"]),
            ("wasi:config/store@0.2.0", &[]),
            ("archipel:identity/tokens@0.1.0", &["sign"]),
            ("archipel:identity/passwords@0.1.0", &["passwords"]),
            ("wasi:cli/environment@0.2.3", &[]),
        ] {
            assert_eq!(keys(import), expected, "{import}");
        }
    }
}
