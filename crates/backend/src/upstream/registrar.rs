//! Tells Consul of the services of this host: that they are here, that they live, that they go.
//!
//! Decides how each is called and when it is told again. Which services and at which address is the
//! word of whoever calls [`Registrar::beat`], every few seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    consul::{Consul, ConsulError, Registration},
    dial::Dialler,
};
use crate::http::Outbound;
use manifest::ConsulSettings;

/// How often to call [`Registrar::beat`]: three fit into the time after which Consul takes us for dead.
pub const BEAT: Duration = Duration::from_secs(5);
/// What whoever follows Consul by blocking queries needs at most to hear what Consul was told: until then a service
/// that Consul knows no more is still asked.
pub const HEARD: Duration = Duration::from_secs(2);
/// What leaving may take: whoever drains does not wait for longer.
const LEAVING_MAX: Duration = Duration::from_secs(2);

/// Where this host is, as others reach it.
#[derive(Debug, Clone)]
pub struct Here {
    /// The `name` of its manifest.
    pub system: String,
    /// Its gateway's host and port.
    pub gateway: (String, u16),
    /// The URL of its admin API; none: others do not reach that.
    pub admin: Option<String>,
}

pub struct Registrar {
    settings: ConsulSettings,
    consul: Consul,
    known: BTreeSet<Registration>,
    /// The last word was that it could not be said.
    is_failing: bool,
}

impl Registrar {
    pub fn new(settings: &ConsulSettings, outbound: &Outbound) -> Self {
        let dialler = Dialler::plain(outbound);
        let consul = Consul::new(settings, dialler);
        Self { settings: settings.clone(), consul, known: BTreeSet::new(), is_failing: false }
    }

    pub fn settings(&self) -> &ConsulSettings {
        &self.settings
    }

    /// Our services, whether each is well, and where all of them are asked. What is new is registered, what is
    /// gone deregistered, and of the others is said how they are.
    pub async fn beat(&mut self, services: &BTreeMap<Arc<str>, bool>, here: &Here) {
        let (address, port) = &here.gateway;
        let registration = |name: &Arc<str>| Registration {
            id: format!("{name}-{}-{port}", address.replace(':', ".")),
            name: name.clone(),
            address: address.clone(),
            port: *port,
            tags: self.settings.tags.clone(),
            system: here.system.clone(),
            admin: here.admin.clone(),
        };
        let wanted: BTreeMap<Registration, bool> =
            services.iter().map(|(name, is_well)| (registration(name), *is_well)).collect();
        let gone: Vec<_> = self.known.iter().filter(|known| !wanted.contains_key(*known)).cloned().collect();
        let mut failure = None;
        for gone in gone {
            match self.consul.deregister(&gone.id).await {
                Ok(()) | Err(ConsulError::Refused { status: 400..=499, .. }) => _ = self.known.remove(&gone),
                // Told again with the next beat: until Consul finds out by itself, others are sent to it.
                Err(error) => failure = Some(error),
            }
        }
        for (of, is_well) in wanted {
            let told = match self.known.contains(&of) {
                true => self.consul.tell_health(&of.id, is_well).await.is_ok(),
                false => false,
            };
            if told {
                continue;
            }
            // New, or forgotten by a Consul that was started again.
            match self.consul.register(&of, is_well).await {
                Ok(()) => _ = self.known.insert(of),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(reason) if !self.is_failing => {
                tracing::warn!(%reason, "Consul cannot be told of our services; it is tried again");
                self.is_failing = true;
            }
            None if self.is_failing => {
                tracing::info!("Consul knows our services again");
                self.is_failing = false;
            }
            _ => {}
        }
    }

    /// None of them is here any more; takes at most two seconds.
    pub async fn leave(&mut self) {
        let leaving = std::mem::take(&mut self.known);
        let each = leaving.iter().map(|of| self.consul.deregister(&of.id));
        let left = tokio::time::timeout(LEAVING_MAX, futures_util::future::join_all(each)).await;
        let failed = left.map_or(leaving.len(), |left| left.iter().filter(|told| told.is_err()).count());
        if failed > 0 {
            tracing::warn!(failed, "Consul could not be told that services go; it finds out by itself");
        }
    }
}
