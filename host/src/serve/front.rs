//! What the two listeners show: the manifest's routes and the host's own pages.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::{
    auth::{Access, Verify},
    body::Body,
    context::RequestContext,
    dispatch::{Dispatch, Dispatched},
    fixed::Fixed,
    gateway::{Gateway, Settings},
    gather::{Gather, Part},
    listener,
    route::{HostPattern, Methods, Route},
    router::{Entry, RouteTable},
    tls::{Tls, TlsError},
};
use http::{HeaderValue, Method, Request, StatusCode, header};

use tokio::runtime::Handle;

use super::{StartError, limits::Limits};
use crate::{
    admin::{self, Api, Apply, EventsApi, Tokens},
    deploy::{Deployment, Services, Widen},
    health::{self, Health},
};
use backend::identity::Identities;
use manifest::{self, GatewaySettings, Manifest, PartSettings, RouteSettings, Target};

const ADMIN_CONNECTIONS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// A swap compiles for up to 30 s, and may wait for another one before.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(120);
const ADMIN_BODY_MAX_BYTES: u64 = 64 << 20;

/// The gateway of a deployment.
///
/// # Errors
/// A route of the manifest that is one of the host's own pages.
pub(super) fn gateway(
    manifest: &Manifest,
    deployment: &Arc<Deployment>,
    health: &Arc<Health>,
    identities: &Arc<Identities>,
    limits: &Limits,
) -> Result<Gateway, StartError> {
    let (table, settings) = routes(manifest, &deployment.services(), deployment, health, identities, limits)?;
    Ok(Gateway::new(table, settings))
}

/// What the gateway of a manifest goes by, whose services are `services`.
///
/// # Errors
/// A route of the manifest that is one of the host's own pages.
pub(super) fn routes(
    manifest: &Manifest,
    services: &Services,
    deployment: &Arc<Deployment>,
    health: &Arc<Health>,
    identities: &Arc<Identities>,
    limits: &Limits,
) -> Result<(RouteTable, Settings), StartError> {
    let mut pages: Vec<Entry> = admin::health_pages(health).into_iter().map(own).collect();
    // Of the host, but counted and shed like any other.
    let document = own(("/openapi.json", Arc::new(Document(deployment.clone()))));
    let keys = own(("/.well-known/jwks.json", Arc::new(PublicKeys(identities.clone()))));
    pages.extend([document, keys].map(|entry| Entry { exempt: false, ..entry }));
    let mut entries = at_all_hosts(manifest, pages);
    let own_pages = entries.len();
    let verifier =
        |issuer: &str| identities.verifier(issuer).expect("a checked route names an issuer") as Arc<dyn Verify>;
    entries.extend(manifest.routes.iter().map(|settings| {
        let (dispatch, label) = target(settings, services);
        let limit = settings.limit.map(|rate| limits.of(&format!("route {}", settings.route), rate));
        Entry { limit, ..entry(settings, dispatch, label, &verifier) }
    }));
    let limit = manifest.gateway.limit.map(|rate| limits.of("gateway", rate));
    let settings = Settings { limit, ..self::settings(&manifest.gateway, &verifier) };
    let table = RouteTable::new(entries).map_err(|conflicts| {
        // The manifest's own routes were compared when it was loaded.
        let taken = conflicts.iter().filter_map(|conflict| conflict.second.checked_sub(own_pages));
        StartError::OwnPages(taken.map(|index| manifest.routes[index].key.clone()).collect())
    })?;
    Ok((table, settings))
}

/// The host's own pages, also at every host that a route names: a route for all of a host's paths
/// must not take them.
fn at_all_hosts(manifest: &Manifest, pages: Vec<Entry>) -> Vec<Entry> {
    let mut hosts: Vec<_> = manifest.routes.iter().filter_map(|settings| settings.route.host.clone()).collect();
    hosts.sort_by_key(ToString::to_string);
    hosts.dedup();
    let anywhere = std::iter::once(None).chain(hosts.into_iter().map(Some));
    let at = |host: Option<HostPattern>| {
        pages
            .iter()
            .map(move |page| Entry { route: Route { host: host.clone(), ..page.route.clone() }, ..page.clone() })
    };
    anywhere.flat_map(at).collect()
}

/// A route of the manifest, without a limit.
pub(super) fn entry(
    settings: &RouteSettings,
    dispatch: Arc<dyn Dispatch>,
    label: Arc<str>,
    verifier: &dyn Fn(&str) -> Arc<dyn Verify>,
) -> Entry {
    let access = access(&settings.access, verifier);
    Entry { route: settings.route.clone(), dispatch, exempt: false, access, limit: None, label, counts: Arc::default() }
}

/// What holds for every route, without a limit.
pub(super) fn settings(of: &GatewaySettings, verifier: &dyn Fn(&str) -> Arc<dyn Verify>) -> Settings {
    Settings {
        hosts: of.hosts.clone(),
        expose_version: of.expose_version,
        body_limit_bytes: of.body_limit_bytes,
        timeout: of.timeout,
        requests_max: of.requests_max,
        access: access(&of.auth.clone().map_or(manifest::Access::Public, manifest::Access::Token), verifier),
        limit: None,
        trusted_proxies: of.trusted_proxies.clone(),
    }
}

fn access(access: &manifest::Access, verifier: &dyn Fn(&str) -> Arc<dyn Verify>) -> Access {
    match access {
        manifest::Access::Public => Access::Public,
        manifest::Access::Token(issuer) => Access::Token(verifier(issuer)),
    }
}

/// The host's own pages on the gateway, each with `dispatch`: for whoever asks which route wins.
pub(super) fn own_routes(manifest: &Manifest, dispatch: &Arc<dyn Dispatch>) -> Vec<Entry> {
    let page = |path| own((path, dispatch.clone()));
    let counted = ["/openapi.json", "/.well-known/jwks.json"].map(|path| Entry { exempt: false, ..page(path) });
    let pages = ["/health", "/health/ready", "/health/live"].map(page).into_iter().chain(counted).collect();
    at_all_hosts(manifest, pages)
}

/// Who answers on a route, and what the access log calls it.
fn target(settings: &RouteSettings, services: &Services) -> (Arc<dyn Dispatch>, Arc<str>) {
    let service = |name: &Arc<str>| {
        services.get(name).expect("a checked route names services").service.clone() as Arc<dyn Dispatch>
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

/// The admin listener's pages and its API, for its own `Host` only.
pub(super) fn admin(
    address: std::net::SocketAddr,
    health: &Arc<Health>,
    deployment: &Arc<Deployment>,
    (applier, widen): (Arc<dyn Apply>, Arc<dyn Widen>),
    metrics: Arc<dyn Dispatch>,
    tokens: Tokens,
) -> Gateway {
    let mut entries: Vec<Entry> = admin::health_pages(health).into_iter().map(own).collect();
    entries.push(own(admin::service_page(health)));
    entries.push(own(("/metrics", metrics)));
    entries.push(own(("/health/{*rest}", Arc::new(Fixed(StatusCode::NOT_FOUND))))); // no token for any of them
    let access = Access::Token(Arc::new(tokens));
    let (runtime, started) = (Handle::current(), Instant::now());
    entries.extend(admin::ACTIONS.into_iter().map(|(path, method, action)| {
        let (deployment, applier, widen) = (deployment.clone(), applier.clone(), widen.clone());
        let api = Api { action, deployment, applier, widen, runtime: runtime.clone(), started };
        let mut entry = own((path, Arc::new(api)));
        entry.route.methods = Methods::Only(vec![method]);
        Entry { exempt: false, access: access.clone(), ..entry }
    }));
    entries.extend(admin::EVENT_ACTIONS.into_iter().map(|(path, method, action)| {
        let mut entry = own((path, Arc::new(EventsApi { action, deployment: deployment.clone() })));
        entry.route.methods = Methods::Only(vec![method]);
        Entry { exempt: false, access: access.clone(), ..entry }
    }));
    let settings = Settings {
        hosts: admin::own_hosts(address),
        expose_version: false,
        body_limit_bytes: ADMIN_BODY_MAX_BYTES,
        timeout: ADMIN_TIMEOUT,
        requests_max: ADMIN_CONNECTIONS_MAX,
        access,
        limit: None,
        trusted_proxies: Vec::new(),
    };
    Gateway::new(RouteTable::new(entries).expect("our own pages do not clash"), settings)
}

pub(super) fn listening(settings: &GatewaySettings, tls: Option<Tls>) -> listener::Settings {
    listener::Settings { tls, h2c: settings.h2c, ..listener::Settings::new(settings.connections_max) }
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
    let (access, label) = (Access::Public, "gateway".into());
    Entry { route, dispatch, exempt: true, access, limit: None, label, counts: Arc::default() }
}

/// The OpenAPI document of the builds that are live.
struct Document(Arc<Deployment>);

impl Dispatch for Document {
    fn dispatch(&self, _: Arc<RequestContext>, _: Request<Body>) -> Dispatched<'_> {
        Box::pin(async { Ok(health::json(StatusCode::OK, &*self.0.openapi())) })
    }
}

/// The public keys of this host, as they are now.
struct PublicKeys(Arc<Identities>);

/// How long others may go on with what they fetched. A new key signs at once, so a verifier must
/// ask again for a key it does not know.
const KEYS_CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

impl Dispatch for PublicKeys {
    fn dispatch(&self, _: Arc<RequestContext>, _: Request<Body>) -> Dispatched<'_> {
        Box::pin(async {
            let mut answer = health::json(StatusCode::OK, &self.0.published().await);
            answer.headers_mut().insert(header::CACHE_CONTROL, KEYS_CACHED);
            Ok(answer)
        })
    }
}
