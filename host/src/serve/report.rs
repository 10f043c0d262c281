//! What runs and where, as `run` prints it when everything is ready.

use std::net::SocketAddr;

use serde::Serialize;

use super::Running;
use crate::{
    grant::Mode,
    manifest::{Access, Manifest},
};

/// The whole of it; one JSON line in a pipe.
#[derive(Debug, Serialize)]
pub struct Report {
    pub name: String,
    pub listening: Addresses,
    /// Milliseconds from the command to the first request that can be answered.
    #[serde(rename = "startMs")]
    pub start_ms: u64,
    pub services: Vec<ServiceRow>,
    /// Routes that need no token.
    #[serde(rename = "publicRoutes")]
    pub public_routes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Addresses {
    pub gateway: Vec<SocketAddr>,
    pub admin: SocketAddr,
}

#[derive(Debug, Serialize)]
pub struct ServiceRow {
    pub name: String,
    pub version: String,
    pub permissions: Vec<String>,
    #[serde(rename = "startMs")]
    pub start_ms: u64,
    /// Its compiled form was there from an earlier start.
    pub cached: bool,
}

impl Running {
    pub fn report(&self) -> Report {
        let services = self.generation.services.values().map(|deployed| {
            let version = deployed.service.version();
            ServiceRow {
                name: deployed.settings.name.to_string(),
                version: version.label.to_str().unwrap_or_default().to_owned(),
                permissions: permissions(deployed),
                start_ms: millis(deployed.start),
                cached: version.component.cached,
            }
        });
        Report {
            name: self.manifest.name.clone(),
            listening: Addresses { gateway: self.gateway.addresses.clone(), admin: self.admin.addresses[0] },
            start_ms: millis(self.began.elapsed()),
            services: services.collect(),
            public_routes: public_routes(&self.manifest),
        }
    }
}

fn public_routes(manifest: &Manifest) -> Vec<String> {
    let public = manifest.routes.iter().filter(|route| route.access == Access::Public);
    public.map(|route| route.route.path.to_string()).collect()
}

fn permissions(deployed: &crate::deploy::Deployed) -> Vec<String> {
    let databases = deployed.settings.grants.databases().map(|granted| {
        let database = granted.get();
        let mode = if database.mode == Mode::Read { "read" } else { "read-write" };
        format!("postgres {} ({mode})", database.database)
    });
    let grants = &deployed.settings.grants;
    let sign = grants.signs().map(|sign| match sign.roles.is_empty() {
        true => format!("sign {}", sign.auth),
        false => format!("sign {} ({})", sign.auth, sign.roles.join(", ")),
    });
    let passwords = grants.passwords().ok().map(|_granted| "passwords".to_owned());
    let env = deployed.settings.env.keys().map(|name| format!("env {name}"));
    databases.chain(sign).chain(passwords).chain(env).collect()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
