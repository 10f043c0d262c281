//! The host's own pages on the gateway: the one list of them.
//!
//! The gateway, `explain` and the refusal of a route that would take one all go by [`OWN`].

use std::sync::Arc;

use gateway::{
    auth::Access,
    body::Body,
    context::RequestContext,
    cors::RouteCors,
    dispatch::{Dispatch, Dispatched},
    route::{HostPattern, Methods, Route},
    router::Entry,
};
use http::{HeaderValue, Method, Request, StatusCode, header};

use crate::health::{self, Page};
use backend::identity::{Identities, Voucher};
use manifest::Manifest;

/// What a page of the host shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::system) enum OwnPage {
    Health(Page),
    /// The OpenAPI document of the builds that are live.
    Document,
    /// The public keys of this host.
    Keys,
    /// Those by which other hosts tell our word.
    Trust,
}

/// All of them by path.
const OWN: [(&str, OwnPage); 6] = [
    (health::PAGES[0].0, OwnPage::Health(health::PAGES[0].1)),
    (health::PAGES[1].0, OwnPage::Health(health::PAGES[1].1)),
    (health::PAGES[2].0, OwnPage::Health(health::PAGES[2].1)),
    ("/openapi.json", OwnPage::Document),
    ("/.well-known/jwks.json", OwnPage::Keys),
    ("/.well-known/trust.json", OwnPage::Trust),
];

/// Their paths, for people.
pub(in crate::system) fn own_paths() -> String {
    OWN.map(|(path, _)| format!("`{path}`")).join(", ")
}

/// Routes to them: what stands behind each is said by `behind`.
pub(in crate::system) fn own_pages(manifest: &Manifest, behind: &dyn Fn(OwnPage) -> Arc<dyn Dispatch>) -> Vec<Entry> {
    at_all_hosts(manifest, OWN.into_iter().map(|(path, page)| entry(path, page, behind(page))).collect())
}

/// Health is never shed; the others are counted and shed like any route.
fn entry(path: &str, page: OwnPage, dispatch: Arc<dyn Dispatch>) -> Entry {
    Entry { exempt: matches!(page, OwnPage::Health(_)), ..read_only(path, dispatch) }
}

/// A page of the host's own, on either listener: only read, and by anybody.
pub fn read_only(path: &str, dispatch: Arc<dyn Dispatch>) -> Entry {
    let route = Route {
        host: None,
        path: path.parse().expect("our own paths are valid"),
        methods: Methods::Only(vec![Method::GET]),
        timeout: None,
        body_limit_bytes: None,
        stream: None,
    };
    let (access, label) = (Access::Public, "gateway".into());
    let cors = RouteCors::Gateways;
    Entry { route, dispatch, exempt: false, access, limit: None, cors, label, counts: Arc::default() }
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

/// The public keys of this host, as they are now.
pub(super) struct PublicKeys(pub(super) Arc<Identities>);

/// The public keys by which other hosts tell that a call comes from this one.
pub(super) struct TrustKeys(pub(super) Option<Arc<Voucher>>);

impl Dispatch for TrustKeys {
    fn dispatch(&self, _: Arc<RequestContext>, _: Request<Body>) -> Dispatched<'_> {
        Box::pin(async {
            let keys = match &self.0 {
                Some(voucher) => voucher.published().await,
                None => serde_json::json!({ "keys": [] }),
            };
            let mut answer = health::json(StatusCode::OK, &keys);
            answer.headers_mut().insert(header::CACHE_CONTROL, KEYS_CACHED);
            Ok(answer)
        })
    }
}

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
