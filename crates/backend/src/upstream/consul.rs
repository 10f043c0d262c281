//! Consul's HTTP API, as far as we need it: who is well under a name, and our own word that we are.
//!
//! Decides how long a question may take and how large an answer may be. What becomes of an answer is
//! `watch`'s, what is said of us `registrar`'s. The token is in no message.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gateway::body;
use http::{HeaderName, HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::json;

use super::{
    dial::Dialler,
    endpoint::{Endpoint, Times},
    instances::Instances,
};
use grant::net::{Scheme, Target};
use manifest::{ConsulSettings, PoolSettings};

/// How long Consul may hold a question back until its answer changes.
const WAIT: Duration = Duration::from_secs(60);
/// At least so long between two questions: an agent that answers at once must not keep us busy.
const BETWEEN: Duration = Duration::from_millis(50);
/// What any other question may take; and what a held one may take longer than it was held.
const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_MAX_BYTES: usize = 4 << 20;
/// More addresses than this of one service are left out.
const ADDRESSES_MAX: usize = 1000;
const CONNECTIONS_MAX: usize = 8;
const IDLE: Duration = Duration::from_secs(30);
/// After how long Consul takes us for dead, and forgets us.
const TTL: &str = "15s";
const FORGOTTEN_AFTER: &str = "1m";

const TOKEN: HeaderName = HeaderName::from_static("x-consul-token");
const INDEX: HeaderName = HeaderName::from_static("x-consul-index");

/// What is said of a host beside each of its services: the `name` of its manifest, and the address of its admin API.
const SYSTEM: &str = "archipel-system";
const ADMIN: &str = "archipel-admin";

/// Why Consul gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConsulError {
    #[error("Consul cannot be asked: {0}")]
    Unanswered(String),
    #[error("Consul refused: {status} {text}")]
    Refused { status: u16, text: String },
    #[error("Consul's answer makes no sense: {0}")]
    Nonsense(String),
}

/// One agent of Consul.
pub(super) struct Consul {
    endpoint: Endpoint,
    token: Option<HeaderValue>,
    datacenter: Option<String>,
}

/// A service of ours as Consul is told of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Registration {
    pub(super) id: String,
    pub(super) name: Arc<str>,
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) tags: Vec<String>,
    /// The `name` of the manifest.
    pub(super) system: String,
    /// The URL of the admin API, where others reach it.
    pub(super) admin: Option<String>,
}

/// A host of ours, as it told Consul of itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundHost {
    pub gateway: (String, u16),
    /// The URL of its admin API; none: others do not reach that.
    pub admin: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(default)]
    address: String,
    port: u16,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
}

impl Consul {
    pub(super) fn new(settings: &ConsulSettings, dialler: Dialler) -> Self {
        let connections_max = CONNECTIONS_MAX.try_into().expect("it is not zero");
        let pool = PoolSettings { connections_max, idle: IDLE, http2: false };
        let token = settings.token.as_ref().and_then(|token| HeaderValue::try_from(token.reveal()).ok());
        let token = token.map(|mut token| {
            token.set_sensitive(true);
            token
        });
        let endpoint = Endpoint::new("consul".into(), settings.url.clone(), dialler, pool);
        Self { endpoint, token, datacenter: settings.datacenter.clone() }
    }

    /// Those that pass their checks under `service`; held back by Consul until that is another answer than
    /// the one of `index`, or for a minute. 0: at once. Cancel safe.
    pub(super) async fn instances(
        &self,
        (service, scheme): (&str, Scheme),
        index: u64,
    ) -> Result<Instances, ConsulError> {
        let held = if index == 0 { String::new() } else { format!("&index={index}&wait={}s", WAIT.as_secs()) };
        let path = format!("/v1/health/service/{service}?{}passing=true{held}", self.datacenter());
        // Consul adds up to a sixteenth, so that not all come back at once.
        let within = if index == 0 { TIMEOUT } else { WAIT + WAIT / 16 + TIMEOUT };
        let answer = self.ask(Method::GET, &path, Bytes::new(), within).await?;
        let index = answer.headers().get(INDEX).and_then(|index| index.to_str().ok()?.parse().ok());
        let entries = entries(&answer)?;
        let index = index.ok_or_else(|| ConsulError::Nonsense(format!("it has no `{INDEX}`")))?;
        let addresses: Vec<_> = entries.iter().take(ADDRESSES_MAX).filter_map(|entry| entry.target(scheme)).collect();
        let without = entries.len() - addresses.len();
        let left_out = format!("{without} of {} have no address, or are more than {ADDRESSES_MAX}", entries.len());
        Ok(Instances { index, addresses, again: BETWEEN, left_out: (without > 0).then_some(left_out) })
    }

    /// The hosts of `system` that `service` is on, well or not. Cancel safe.
    pub(super) async fn hosts(&self, service: &str, system: &str) -> Result<Vec<FoundHost>, ConsulError> {
        let path = format!("/v1/health/service/{service}?{}", self.datacenter());
        let path = path.trim_end_matches(['&', '?']);
        let entries = entries(&self.ask(Method::GET, path, Bytes::new(), TIMEOUT).await?)?;
        let host = |entry: Entry| {
            let Service { address, port, meta } = entry.service;
            let mut meta = meta?;
            (meta.get(SYSTEM)? == system).then(|| FoundHost { gateway: (address, port), admin: meta.remove(ADMIN) })
        };
        Ok(entries.into_iter().take(ADDRESSES_MAX).filter_map(host).collect())
    }

    /// For a query.
    fn datacenter(&self) -> String {
        self.datacenter.as_ref().map(|name| format!("dc={name}&")).unwrap_or_default()
    }

    /// It is here from now on, well or not.
    pub(super) async fn register(&self, of: &Registration, is_well: bool) -> Result<(), ConsulError> {
        let mut meta = BTreeMap::from([(SYSTEM, &of.system)]);
        meta.extend(of.admin.as_ref().map(|admin| (ADMIN, admin)));
        let said = json!({
            "ID": of.id,
            "Name": &*of.name,
            "Address": of.address,
            "Port": of.port,
            "Tags": of.tags,
            "Meta": meta,
            "Check": { "TTL": TTL, "Status": status(is_well), "DeregisterCriticalServiceAfter": FORGOTTEN_AFTER },
        });
        self.tell("/v1/agent/service/register", said.to_string().into()).await
    }

    /// We live, and the service is well or is not.
    pub(super) async fn tell_health(&self, id: &str, is_well: bool) -> Result<(), ConsulError> {
        let said = json!({ "Status": status(is_well) });
        self.tell(&format!("/v1/agent/check/update/service:{id}"), said.to_string().into()).await
    }

    pub(super) async fn deregister(&self, id: &str) -> Result<(), ConsulError> {
        self.tell(&format!("/v1/agent/service/deregister/{id}"), Bytes::new()).await
    }

    async fn tell(&self, path: &str, said: Bytes) -> Result<(), ConsulError> {
        self.ask(Method::PUT, path, said, TIMEOUT).await.map(drop)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        said: Bytes,
        within: Duration,
    ) -> Result<Response<Bytes>, ConsulError> {
        let mut request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(TOKEN, token);
        }
        let request = request.body(body::full(said)).map_err(|error| ConsulError::Unanswered(error.to_string()))?;
        let times = Times { wait: TIMEOUT, by: Instant::now() + within };
        let asked = async {
            let answer = self.endpoint.send(request, times).await;
            let (head, body) = answer.map_err(|failed| ConsulError::Unanswered(failed.error.to_string()))?.into_parts();
            let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
            let body = body.map_err(|error| ConsulError::Unanswered(error.to_string()))?.to_bytes();
            match head.status.is_success() {
                true => Ok(Response::from_parts(head, body)),
                false => {
                    let text = String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned();
                    Err(ConsulError::Refused { status: head.status.as_u16(), text })
                }
            }
        };
        let late = |_elapsed| ConsulError::Unanswered("it did not answer in time".into());
        tokio::time::timeout(within, asked).await.map_err(late)?
    }
}

fn status(is_well: bool) -> &'static str {
    if is_well { "passing" } else { "critical" }
}

fn entries(answer: &Response<Bytes>) -> Result<Vec<Entry>, ConsulError> {
    serde_json::from_slice(answer.body()).map_err(|error| ConsulError::Nonsense(error.to_string()))
}

impl Entry {
    /// The service's own address, or that of its node; none: it has no port, or a name that is none.
    fn target(&self, scheme: Scheme) -> Option<Target> {
        let address = if self.service.address.is_empty() { &self.node.address } else { &self.service.address };
        let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        Target::new(scheme, &format!("{host}:{}", self.service.port)).ok()
    }
}
