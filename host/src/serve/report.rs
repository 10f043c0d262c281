//! What runs and where, as `run` prints it when everything is ready.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::Serialize;

use super::Running;
use crate::{
    component::{Compiler, Ungranted},
    deploy::Origin,
};
use manifest::{Access, Manifest};

/// The whole of it; one JSON line in a pipe.
#[derive(Debug, Serialize)]
pub struct Report {
    pub name: String,
    pub listening: Addresses,
    /// Milliseconds from the command to the first request that can be answered.
    #[serde(rename = "startMs")]
    pub start_ms: u64,
    pub services: Vec<ServiceRow>,
    /// Services that are no components, and where they run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub elsewhere: BTreeMap<String, Vec<String>>,
    /// Where the token of the admin API is; none where the manifest names all tokens.
    #[serde(rename = "adminToken", skip_serializing_if = "Option::is_none")]
    pub admin_token: Option<PathBuf>,
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
    /// By which packages requests come into its component: `wasi:http`, `archipel:http`.
    pub doors: Vec<&'static str>,
    pub permissions: Vec<String>,
    /// What its manifest grants and the operator's ceiling takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// What it imports of the standard beyond its grants: each use is denied.
    #[serde(rename = "importedNotGranted", skip_serializing_if = "Vec::is_empty")]
    pub ungranted: Vec<Ungranted>,
    /// It may reach everything.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unrestricted: bool,
    #[serde(rename = "startMs")]
    pub start_ms: u64,
    /// The manifest's file, or what was swapped in before the restart.
    pub source: Origin,
    /// Its compiled form was there from an earlier start.
    pub cached: bool,
    /// Whose code it runs on; with Winch's, until Cranelift's is ready.
    pub compiler: Compiler,
}

impl Running {
    pub fn report(&self) -> Report {
        let now = self.system.current();
        let services = now.services.values().map(|deployed| {
            let version = deployed.service.version();
            ServiceRow {
                name: deployed.settings.name.to_string(),
                version: version.label.to_str().unwrap_or_default().to_owned(),
                doors: version.component.doors().words(),
                permissions: deployed.settings.grants.words(),
                ungranted: version.component.ungranted(&deployed.settings.grants, !deployed.settings.env.is_empty()),
                cut: deployed.settings.grants.cut(),
                unrestricted: deployed.settings.grants.is_unrestricted(),
                source: deployed.origin,
                start_ms: millis(deployed.start),
                cached: version.component.cached,
                compiler: version.component.compiler,
            }
        });
        Report {
            name: now.manifest.name.clone(),
            listening: Addresses { gateway: self.gateway.addresses.clone(), admin: self.admin.addresses[0] },
            start_ms: millis(self.began.elapsed()),
            services: services.collect(),
            elsewhere: now.remotes.iter().map(|(name, of)| (name.to_string(), of.settings.places())).collect(),
            admin_token: self.admin_token.clone(),
            public_routes: public_routes(&now.manifest),
        }
    }
}

fn public_routes(manifest: &Manifest) -> Vec<String> {
    let public = manifest.routes.iter().filter(|route| route.access == Access::Public);
    public.map(|route| route.route.path.to_string()).collect()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
