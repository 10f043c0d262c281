//! The other hosts of a system, as Consul knows them: by what each says of itself beside its services.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    consul::{Consul, ConsulError, FoundHost},
    dial::Dialler,
};
use crate::http::Outbound;
use manifest::ConsulSettings;

/// Of more services than this Consul is not asked: the hosts of one manifest have the same.
const SERVICES_MAX: usize = 64;
const WITHIN: Duration = Duration::from_secs(10);

/// All hosts of the manifest `system` that Consul knows by one of `services`, each once, well or not. Takes ten seconds at most. Cancel safe.
///
/// # Errors
/// [`ConsulError`] when it does not answer one of the questions.
pub async fn hosts(
    agent: &ConsulSettings,
    outbound: &Outbound,
    services: &[Arc<str>],
    system: &str,
) -> Result<BTreeSet<FoundHost>, ConsulError> {
    let consul = Consul::new(agent, Dialler::plain(outbound));
    let asking = async {
        let mut found = BTreeSet::new();
        for service in services.iter().take(SERVICES_MAX) {
            found.extend(consul.hosts(service, system).await?);
        }
        Ok(found)
    };
    let late = |_elapsed| ConsulError::Unanswered(format!("it took longer than {WITHIN:?}"));
    timeout(WITHIN, asking).await.map_err(late)?
}
