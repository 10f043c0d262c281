//! What the two listeners show: the manifest's routes and the host's own pages.

use std::{num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use gateway::{
    auth::Access,
    body::Body,
    context::RequestContext,
    dispatch::{Dispatch, Dispatched},
    fixed::Fixed,
    gateway::{Gateway, Settings},
    gather::{Gather, Part},
    listener,
    route::{Methods, Route},
    router::{Entry, RouteTable},
    tls::{Tls, TlsError},
};
use http::{Method, Request, StatusCode};

use super::{StartError, limits::Limits};
use crate::{
    admin,
    deploy::Generation,
    health::{self, Health},
    manifest::{GatewaySettings, Manifest, PartSettings, RouteSettings, Target},
};

const ADMIN_CONNECTIONS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);
const ADMIN_BODY_MAX_BYTES: u64 = 64 << 20;

/// The gateway of a generation.
///
/// # Errors
/// A route of the manifest that is one of the host's own pages.
pub(super) fn gateway(
    manifest: &Manifest,
    generation: &Generation,
    health: &Arc<Health>,
    limits: &Limits,
) -> Result<Gateway, StartError> {
    let mut entries: Vec<Entry> = admin::health_pages(health).into_iter().map(own).collect();
    let document = own(("/openapi.json", Arc::new(Document(generation.openapi.clone()))));
    entries.push(Entry { exempt: false, ..document }); // whoever reads it counts like anybody else
    let own_pages = entries.len();
    for settings in &manifest.routes {
        let (dispatch, label) = target(settings, generation);
        entries.push(Entry {
            route: settings.route.clone(),
            dispatch,
            exempt: false,
            access: Access::Public,
            limit: settings.limit.map(|rate| limits.of(&format!("route {}", settings.route), rate)),
            label,
        });
    }
    let of = &manifest.gateway;
    let settings = Settings {
        hosts: of.hosts.clone(),
        expose_version: of.expose_version,
        body_limit_bytes: of.body_limit_bytes,
        timeout: of.timeout,
        requests_max: of.requests_max,
        access: Access::Public,
        limit: of.limit.map(|rate| limits.of("gateway", rate)),
        trusted_proxies: of.trusted_proxies.clone(),
    };
    let table = RouteTable::new(entries).map_err(|conflicts| {
        // The manifest's own routes were compared when it was loaded.
        let taken = conflicts.iter().filter_map(|conflict| conflict.second.checked_sub(own_pages));
        StartError::OwnPages(taken.map(|index| manifest.routes[index].key.clone()).collect())
    })?;
    Ok(Gateway::new(table, settings))
}

/// Who answers on a route, and what the access log calls it.
fn target(settings: &RouteSettings, generation: &Generation) -> (Arc<dyn Dispatch>, Arc<str>) {
    let service = |name: &Arc<str>| {
        generation.services.get(name).expect("a checked route names services").service.clone() as Arc<dyn Dispatch>
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

/// The admin listener's pages, for its own `Host` only.
pub(super) fn admin(address: std::net::SocketAddr, health: &Arc<Health>) -> Gateway {
    let mut entries: Vec<Entry> = admin::health_pages(health).into_iter().map(own).collect();
    entries.push(own(admin::service_page(health)));
    let settings = Settings {
        hosts: admin::own_hosts(address),
        expose_version: false,
        body_limit_bytes: ADMIN_BODY_MAX_BYTES,
        timeout: ADMIN_TIMEOUT,
        requests_max: ADMIN_CONNECTIONS_MAX,
        access: Access::Public,
        limit: None,
        trusted_proxies: Vec::new(),
    };
    Gateway::new(RouteTable::new(entries).expect("our own pages do not clash"), settings)
}

pub(super) fn listening(settings: &GatewaySettings, tls: Option<Tls>) -> listener::Settings {
    let mut listening = listener::Settings::new(settings.connections_max);
    listening.tls = tls;
    listening.h2c = settings.h2c;
    listening
}

pub(super) fn admin_listening() -> listener::Settings {
    listener::Settings::new(ADMIN_CONNECTIONS_MAX)
}

pub(super) fn tls(settings: &GatewaySettings) -> Result<Option<Tls>, TlsError> {
    let pem = |cert: &Path, key: &Path| Tls::from_pem_files(cert, key);
    settings.tls.as_ref().map(|files| pem(&files.cert, &files.key)).transpose()
}

/// A page of the host itself: never shed, and only read.
fn own((path, dispatch): (&'static str, Arc<dyn Dispatch>)) -> Entry {
    let route = Route {
        host: None,
        path: path.parse().expect("our own paths are valid"),
        methods: Methods::Only(vec![Method::GET]),
        timeout: None,
        body_limit_bytes: None,
    };
    Entry { route, dispatch, exempt: true, access: Access::Public, limit: None, label: "gateway".into() }
}

/// A JSON document that does not change while its generation runs.
struct Document(serde_json::Value);

impl Dispatch for Document {
    fn dispatch(&self, _: Arc<RequestContext>, _: Request<Body>) -> Dispatched<'_> {
        Box::pin(async { Ok(health::json(StatusCode::OK, &self.0)) })
    }
}
