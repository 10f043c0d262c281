//! A collector as one kind of telemetry reaches it.

use std::sync::Arc;

use http::Uri;

use crate::{InvalidSettings, Settings, client::Client};

/// Where something is sent, and the way there. Clones share it.
#[derive(Debug, Clone)]
pub struct Collector {
    pub(crate) settings: Settings,
    pub(crate) client: Arc<Client>,
}

impl Collector {
    /// With the connection of one of `beside`, if it is to the same collector. Must be called within a runtime.
    ///
    /// # Errors
    /// With what is wrong about the settings.
    pub fn open(settings: Settings, beside: &[&Self]) -> Result<Self, InvalidSettings> {
        let shared = beside.iter().find(|other| is_one(&settings, &other.settings)).map(|other| other.client.clone());
        let client = match shared {
            Some(client) => client,
            None => Arc::new(Client::new(&settings)?),
        };
        Ok(Self { settings, client })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// Whether both can go by one connection.
fn is_one(one: &Settings, other: &Settings) -> bool {
    let place = |settings: &Settings| {
        let uri = settings.endpoint.parse::<Uri>().ok()?;
        Some((uri.scheme().cloned(), uri.authority().cloned()?))
    };
    let way = |settings: &Settings| (settings.protocol, settings.timeout, settings.ca.clone());
    place(one).is_some() && place(one) == place(other) && way(one) == way(other) && one.headers == other.headers
}
