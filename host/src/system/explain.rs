//! What would become of a request, without sending it anywhere.
//!
//! The gateway of the manifest is built as for serving, except that behind each route stands
//! somebody who only says which one it is, and that nothing is counted. So the answer's status is
//! the one that a client would get before its service is asked.

use std::{net::Ipv4Addr, sync::Arc};

use bytes::Bytes;
use gateway::{
    auth::{TokenError, Verified, Verify},
    authority::Authority,
    body::{self, Body},
    context::RequestContext,
    dispatch::{Dispatch, Dispatched},
    gateway::Gateway,
    router::{Entry, RouteTable},
};
use http::{HeaderValue, Method, Request, Response, Uri, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use serde::Serialize;

use super::routes;
use backend::identity::Identities;
use manifest::{Access, Manifest, RouteSettings, Target};

/// The decision about one request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub method: String,
    /// In normal form, which decides everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What a client would get if the service were not asked; 200: it would be asked.
    pub status: u16,
    /// The sentence of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The route that wins, and what it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Winner>,
    /// Routes that take the same request and lose, in the order in which they would win.
    pub shadowed: Vec<String>,
    pub authentication: Authentication,
    pub limits: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Winner {
    pub route: String,
    /// Its place in the manifest; none for a page of the host itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub target: String,
    pub timeout_ms: u64,
    pub body_limit_bytes: u64,
}

/// Whether a token is asked for, and what became of the one that was given.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    pub public: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<String>,
    /// Why the token is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Decides about a request as the gateway of `manifest` would. `identities` is needed only for a
/// `token`.
pub async fn explain(
    manifest: &Manifest,
    identities: Option<&Identities>,
    method: &Method,
    uri: &Uri,
    token: Option<&str>,
) -> Explanation {
    let verifier = |issuer: &str| verifier(identities, issuer);
    let request = request(manifest, method, uri, token);
    let mut entries = routes::own_pages(manifest, &|_page| nobody());
    let own = entries.len();
    let routes = manifest.routes.iter().enumerate();
    entries.extend(routes.map(|(index, settings)| {
        let label = index.to_string().into();
        routes::entry(settings, nobody(), label, &verifier)
    }));
    let settings = routes::settings(&manifest.gateway, &verifier);
    let order = order(&entries, &request);
    let gateway = Gateway::new(RouteTable::new(entries).unwrap_or_default(), settings);
    let answer = gateway.handle((Ipv4Addr::LOCALHOST, 0).into(), false, request).await;

    let status = answer.status().as_u16();
    let winner = order.first().copied();
    let settings = winner.and_then(|index| index.checked_sub(own)).map(|index| &manifest.routes[index]);
    let name = |index: &usize| match index.checked_sub(own) {
        Some(index) => format!("{} ({})", manifest.routes[index].route, manifest.routes[index].key),
        None => OWN_PAGE.to_owned(),
    };
    Explanation {
        method: method.to_string(),
        path: normal(uri),
        status: if status == REACHED { 200 } else { status },
        error: if status == REACHED { None } else { sentence(answer).await },
        route: winner.map(|_| self::winner(manifest, settings)),
        shadowed: order.iter().skip(1).map(name).collect(),
        authentication: authentication(manifest, identities, winner.is_some(), settings, token).await,
        limits: limits(manifest, winner.is_none_or(|index| index >= own), settings),
    }
}

/// What a route answers here: a status that no gateway makes.
const REACHED: u16 = 299;
const OWN_PAGE: &str = "a page of the host itself";

fn nobody() -> Arc<dyn Dispatch> {
    Arc::new(|_cx: Arc<RequestContext>, _request: Request<Body>| -> Dispatched<'static> {
        let mut answer = Response::new(body::empty());
        *answer.status_mut() = http::StatusCode::from_u16(REACHED).expect("a status");
        Box::pin(std::future::ready(Ok(answer)))
    })
}

fn request(manifest: &Manifest, method: &Method, uri: &Uri, token: Option<&str>) -> Request<Full<Bytes>> {
    let host = manifest.gateway.hosts.first().map_or("localhost", String::as_str);
    let mut request = Request::new(Full::default());
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri.clone();
    let host = uri.authority().map_or(host, |authority| authority.as_str());
    let value = |text: String| HeaderValue::try_from(text).ok();
    value(host.to_owned()).map(|host| request.headers_mut().insert(http::header::HOST, host));
    token
        .and_then(|token| value(format!("Bearer {token}")))
        .map(|token| request.headers_mut().insert(AUTHORIZATION, token));
    request
}

/// The routes that take a request, by their places in `entries`: the one that wins, the one that
/// would win without it, and so on.
fn order(entries: &[Entry], request: &Request<Full<Bytes>>) -> Vec<usize> {
    let mut uri = request.uri().clone();
    if gateway::path::normalize(&mut uri).is_err() {
        return Vec::new();
    }
    let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Ok(authority) = Authority::parse(host) else { return Vec::new() };
    let mut left: Vec<usize> = (0..entries.len()).collect();
    let mut order = Vec::new();
    loop {
        // The place of each is its label, which the table gives back with the one that wins.
        let labelled = |index: &usize| Entry { label: index.to_string().into(), ..entries[*index].clone() };
        let Ok(table) = RouteTable::new(left.iter().map(labelled).collect()) else { return order };
        let Ok(winner) = table.find(&authority.host, uri.path(), request.method()) else { return order };
        let index = winner.label.parse().expect("our own label");
        left.retain(|other| *other != index);
        order.push(index);
    }
}

fn normal(uri: &Uri) -> Option<String> {
    let mut uri = uri.clone();
    gateway::path::normalize(&mut uri).ok()?;
    Some(uri.path_and_query()?.to_string())
}

async fn sentence(answer: Response<Body>) -> Option<String> {
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    let envelope: serde_json::Value = serde_json::from_slice(&body).ok()?;
    Some(envelope["error"].as_str()?.to_owned())
}

fn winner(manifest: &Manifest, settings: Option<&RouteSettings>) -> Winner {
    let route = settings.map(|settings| &settings.route);
    let timeout = route.and_then(|route| route.timeout).unwrap_or(manifest.gateway.timeout);
    let body_limit = route.and_then(|route| route.body_limit_bytes).unwrap_or(manifest.gateway.body_limit_bytes);
    Winner {
        route: route.map_or(OWN_PAGE.to_owned(), ToString::to_string),
        key: settings.map(|settings| settings.key.clone()),
        target: settings.map_or("the host itself".to_owned(), |settings| target(&settings.target, manifest)),
        timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        body_limit_bytes: body_limit,
    }
}

fn target(target: &Target, manifest: &Manifest) -> String {
    match target {
        Target::Service(service) => match manifest.upstreams.get(service) {
            Some(elsewhere) => format!("service {service} at {}", elsewhere.places().join(", ")),
            None => format!("service {service}"),
        },
        Target::Static(status) => format!("always {status}"),
        Target::Gather(parts) => {
            let part = |part: &manifest::PartSettings| format!("{} from service {}", part.name, part.service);
            format!("gather {}", parts.iter().map(part).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whom a request that found `settings`, a page of the host or nothing must convince.
async fn authentication(
    manifest: &Manifest,
    identities: Option<&Identities>,
    found: bool,
    settings: Option<&RouteSettings>,
    token: Option<&str>,
) -> Authentication {
    let issuer = match (settings.map(|settings| &settings.access), found) {
        (Some(Access::Token(issuer)), _) => Some(issuer.clone()),
        (Some(Access::Public), _) | (None, true) => None,
        (None, false) => manifest.gateway.auth.clone(),
    };
    let Some(issuer) = issuer else { return Authentication { public: true, ..Authentication::default() } };
    let mut told = Authentication { auth: Some(issuer.to_string()), ..Authentication::default() };
    if let Some(token) = token {
        match verifier(identities, &issuer).verify(token).await {
            Ok(identity) => {
                told.subject = Some(identity.subject().to_owned());
                told.roles = identity.roles.as_ref().and_then(|roles| roles.to_str().ok()).map(str::to_owned);
            }
            Err(error) => told.refused = Some(error.to_string()),
        }
    }
    told
}

fn limits(manifest: &Manifest, counted: bool, settings: Option<&RouteSettings>) -> Vec<String> {
    let address =
        manifest.gateway.limit.filter(|_| counted).map(|rate| format!("{rate} for each address, over all routes"));
    let own = settings.and_then(|settings| {
        let whom = if settings.access == Access::Public { "address" } else { "user" };
        Some(format!("{} for each {whom}, on this route", settings.limit?))
    });
    address.into_iter().chain(own).collect()
}

fn verifier(identities: Option<&Identities>, issuer: &str) -> Arc<dyn Verify> {
    match identities.and_then(|identities| identities.verifier(issuer)) {
        Some(verifier) => verifier,
        None => Arc::new(NoKeys),
    }
}

/// Stands in where no token was given, and so none is verified.
struct NoKeys;

impl Verify for NoKeys {
    fn verify<'a>(&'a self, _token: &'a str) -> Verified<'a> {
        Box::pin(std::future::ready(Err(TokenError::NoKeys("none were opened".into()))))
    }
}
