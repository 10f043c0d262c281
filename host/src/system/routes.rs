//! What the gateway goes by: the manifest's routes and the host's own pages.
//!
//! `explain` builds the same table from the same parts, with somebody else behind each route.

use std::sync::Arc;

use gateway::{
    auth::{Access, Verify},
    dispatch::Dispatch,
    fixed::Fixed,
    gateway::Settings,
    gather::{Gather, Part},
    router::{Entry, RouteTable},
};

mod pages;

pub use pages::read_only;
use pages::{OwnPage, PublicKeys, TrustKeys};
pub(super) use pages::{own_pages, own_paths};

use super::{NextError, document::Document, limits::Limits};
use crate::{
    deploy::{Remotes, Services},
    health::{Health, Pages},
};
use backend::Backends;
use manifest::{self, GatewaySettings, Manifest, PartSettings, RouteSettings, Target};

/// The routes of a manifest, and what holds for all of them.
pub(super) struct Table {
    pub(super) routes: RouteTable,
    pub(super) settings: Settings,
}

/// What stands behind routes.
pub(super) struct Behind<'a> {
    pub(super) services: &'a Services,
    pub(super) remotes: &'a Remotes,
    pub(super) health: &'a Arc<Health>,
    pub(super) backends: &'a Backends,
    pub(super) document: &'a Arc<Document>,
    pub(super) limits: &'a Limits,
}

impl Behind<'_> {
    fn page(&self, page: OwnPage) -> Arc<dyn Dispatch> {
        match page {
            OwnPage::Health(page) => Arc::new(Pages { health: self.health.clone(), page }),
            OwnPage::Document => self.document.clone(),
            OwnPage::Keys => Arc::new(PublicKeys(self.backends.identity.clone())),
            OwnPage::Trust => Arc::new(TrustKeys(self.backends.voucher.clone())),
        }
    }
}

/// What the gateway of a manifest goes by.
///
/// # Errors
/// A route of the manifest that is one of the host's own pages.
pub(super) fn of(manifest: &Manifest, behind: &Behind<'_>) -> Result<Table, NextError> {
    let mut entries = own_pages(manifest, &|page| behind.page(page));
    let own_pages = entries.len();
    let verifier = |issuer: &str| {
        behind.backends.identity.verifier(issuer).expect("a checked route names an issuer") as Arc<dyn Verify>
    };
    entries.extend(manifest.routes.iter().map(|settings| {
        let (dispatch, label) = target(settings, behind);
        let limit = settings.limit.map(|rate| behind.limits.of(&format!("route {}", settings.route), rate));
        Entry { limit, ..entry(settings, dispatch, label, &verifier) }
    }));
    let limit = manifest.gateway.limit.map(|rate| behind.limits.of("gateway", rate));
    let trust = behind.backends.trust.clone();
    let settings = Settings { limit, trust, ..self::settings(&manifest.gateway, &verifier) };
    let routes = RouteTable::new(entries).map_err(|conflicts| {
        // The manifest's own routes were compared when it was loaded.
        let taken = conflicts.iter().filter_map(|conflict| conflict.second.checked_sub(own_pages));
        NextError::OwnPages(taken.map(|index| manifest.routes[index].key.clone()).collect())
    })?;
    Ok(Table { routes, settings })
}

/// A route of the manifest, without a limit.
pub(super) fn entry(
    settings: &RouteSettings,
    dispatch: Arc<dyn Dispatch>,
    label: Arc<str>,
    verifier: &dyn Fn(&str) -> Arc<dyn Verify>,
) -> Entry {
    let access = access(&settings.access, verifier);
    Entry {
        route: settings.route.clone(),
        dispatch,
        exempt: false,
        access,
        limit: None,
        cors: settings.cors.clone(),
        label,
        counts: Arc::default(),
    }
}

/// What holds for every route, without a limit.
pub(super) fn settings(of: &GatewaySettings, verifier: &dyn Fn(&str) -> Arc<dyn Verify>) -> Settings {
    Settings {
        hosts: of.hosts.clone(),
        any_address: false,
        expose_version: of.expose_version,
        body_limit_bytes: of.body_limit_bytes,
        timeout: of.timeout,
        requests_max: of.requests_max,
        access: access(&of.auth.clone().map_or(manifest::Access::Public, manifest::Access::Token), verifier),
        limit: None,
        trusted_proxies: of.trusted_proxies.clone(),
        trust: None,
        cors: of.cors.clone(),
    }
}

fn access(access: &manifest::Access, verifier: &dyn Fn(&str) -> Arc<dyn Verify>) -> Access {
    match access {
        manifest::Access::Public => Access::Public,
        manifest::Access::Token(issuer) => Access::Token(verifier(issuer)),
    }
}

/// Who answers on a route, and what the access log calls it.
fn target(settings: &RouteSettings, behind: &Behind<'_>) -> (Arc<dyn Dispatch>, Arc<str>) {
    let service = |name: &Arc<str>| -> Arc<dyn Dispatch> {
        match behind.remotes.get(name) {
            Some(elsewhere) => elsewhere.remote.clone(),
            None => behind.services.get(name).expect("a checked route names services").service.clone(),
        }
    };
    match &settings.target {
        Target::Service(name) => (service(name), name.clone()),
        Target::Static(status) => (Arc::new(Fixed(*status)), "gateway".into()),
        Target::Gather(parts) => {
            let part = |part: &PartSettings| Part {
                name: part.name.clone(),
                service: part.service.clone(),
                dispatch: service(&part.service),
                from: part.from.clone(),
                default: part.default.clone(),
            };
            let gather = Gather::new(settings.route.path.clone(), parts.iter().map(part).collect());
            (Arc::new(gather), "gateway".into())
        }
    }
}
