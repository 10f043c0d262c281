//! How many files and sockets this process may have open, and how many of them are for whom.
//!
//! Connections must never take the last ones: a gateway that is full waits, but without descriptors
//! nothing is accepted any more, no database reached, no build read, and health does not answer.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use manifest::Manifest;

/// Nobody needs more, and programs that we start may walk over all that they could have.
const ENOUGH: u64 = 1 << 20;

/// The limit of this process, after it was raised.
#[derive(Debug, Clone, Copy)]
pub struct Descriptors(usize);

impl Descriptors {
    /// Raises the soft limit to the hard one, which anybody may.
    pub(super) fn raised() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let (soft, hard) = (current.unwrap_or(ENOUGH), maximum.unwrap_or(ENOUGH));
        let wanted = hard.min(ENOUGH).max(soft);
        let limit = match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
            Ok(()) => wanted,
            Err(error) => {
                tracing::warn!(%error, soft, hard, "the limit of open files cannot be raised");
                soft
            }
        };
        tracing::info!(limit, before = soft, "open files and sockets that this process may have");
        Self(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// Connections that the admin listener may have, of `wanted`: an eighth of all at most.
    pub fn of_admin(self, wanted: NonZeroUsize) -> NonZeroUsize {
        at_least_one(wanted.get().min(self.0 / 8))
    }

    /// Connections that the gateway may have, of those that the manifest says: a quarter is left for
    /// everything else, and the databases' own; a quarter is the gateway's in any case.
    pub(super) fn of_gateway(self, manifest: &Manifest) -> NonZeroUsize {
        let databases = manifest.databases.values().map(|settings| settings.connections_max.get()).sum::<usize>();
        let wanted = manifest.gateway.connections_max;
        let connections = at_least_one(wanted.get().min(self.gateways_share(databases)));
        if connections < wanted {
            tracing::warn!(
                connections,
                wanted,
                limit = self.0,
                "fewer connections than `gateway.connections_max`: this process may not have so many files open; raise its hard limit (`ulimit -Hn`, `LimitNOFILE`, `--ulimit nofile`)"
            );
        }
        connections
    }

    fn gateways_share(self, databases: usize) -> usize {
        let quarter = self.0 / 4;
        (self.0 - quarter).saturating_sub(databases).max(quarter)
    }
}

fn at_least_one(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_health_databases_and_builds() {
        for (limit, databases, gateway, admin) in [
            (256, 0, 192, 32),
            (256, 16, 176, 32),
            (256, 1000, 64, 32),
            (1024, 48, 720, 128),
            (524_288, 48, 393_168, 256),
            (4, 0, 3, 1),
        ] {
            let descriptors = Descriptors(limit);
            assert_eq!(descriptors.gateways_share(databases), gateway, "{limit}");
            assert_eq!(descriptors.of_admin(NonZeroUsize::new(256).unwrap()).get(), admin, "{limit}");
        }
    }
}
