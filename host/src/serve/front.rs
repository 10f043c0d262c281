//! What the two listeners show: the manifest's routes and the host's own pages.

use std::{num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use gateway::{
    auth::Access,
    body::Body,
    context::RequestContext,
    dispatch::{Dispatch, Dispatched},
    gateway::{Gateway, Settings},
    listener,
    route::{Methods, Route},
    router::{Entry, RouteTable},
    tls::{Tls, TlsError},
};
use http::{HeaderValue, Method, Request, StatusCode, header};

use super::StartError;
use crate::{
    admin,
    backend::identity::Identities,
    deploy::Generation,
    health::{self, Health},
    manifest::{self, GatewaySettings, Manifest},
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
    identities: &Arc<Identities>,
) -> Result<Gateway, StartError> {
    let mut entries: Vec<Entry> = admin::health_pages(health).into_iter().map(own).collect();
    entries.push(own(("/openapi.json", Arc::new(Document(generation.openapi.clone())))));
    let keys = own(("/.well-known/jwks.json", Arc::new(PublicKeys(identities.clone()))));
    // Of the host, but counted and shed like any other.
    entries.push(Entry { exempt: false, ..keys });
    let own_pages = entries.len();
    let access = |access: &manifest::Access| match access {
        manifest::Access::Public => Access::Public,
        manifest::Access::Token(issuer) => {
            Access::Token(identities.verifier(issuer).expect("a checked route names an issuer"))
        }
    };
    for settings in &manifest.routes {
        let deployed = generation.services.get(&settings.service).expect("a checked route names a service");
        entries.push(Entry {
            route: settings.route.clone(),
            dispatch: deployed.service.clone(),
            exempt: false,
            access: access(&settings.access),
            limit: None,
            label: settings.service.clone(),
        });
    }
    let of = &manifest.gateway;
    let settings = Settings {
        hosts: of.hosts.clone(),
        expose_version: of.expose_version,
        body_limit_bytes: of.body_limit_bytes,
        timeout: of.timeout,
        requests_max: of.requests_max,
        access: access(&of.auth.clone().map_or(manifest::Access::Public, manifest::Access::Token)),
        limit: None,
    };
    let table = RouteTable::new(entries).map_err(|conflicts| {
        // The manifest's own routes were compared when it was loaded.
        let taken = conflicts.iter().filter_map(|conflict| conflict.second.checked_sub(own_pages));
        StartError::OwnPages(taken.map(|index| manifest.routes[index].key.clone()).collect())
    })?;
    Ok(Gateway::new(table, settings))
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
