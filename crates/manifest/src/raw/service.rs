//! `[services.NAME]` in the file's own words.

use document::quantity::{Share, Size, Time};
use grant::RawPermissions;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::defaults,
    events::RawConsumer,
    text::Named,
    upstream::{RawPool, RawProof, RawUpstreamTls, RawUrl},
};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["component"] }, { "required": ["url"] }]))]
pub(crate) struct RawService {
    /// The component: a `.wasm` file, `oci://REGISTRY/NAME:TAG`, `oci://REGISTRY/NAME@sha256:…` or
    /// `https://…@sha256:…`. It or `url` must be there.
    pub(crate) component: Option<String>,
    /// Instead of a component: where a service runs that is none, or several addresses of it.
    #[schemars(extend("examples" = ["http://10.0.0.7:4000", ["http://10.0.0.7:4000", "http://10.0.0.8:4000"]]))]
    pub(crate) url: Option<RawUrl>,
    /// The command that builds it. Run by `archipel run --watch` only; shown when the component is missing.
    pub(crate) build: Option<String>,
    /// Shown with the component's digest in answers and in `status`.
    #[schemars(extend("default" = defaults::VERSION))]
    pub(crate) version: Option<String>,
    /// The WASI version of the component: `0.2`.
    #[schemars(extend("default" = defaults::WASI))]
    pub(crate) wasi: Option<String>,
    /// Values of variables that `permissions.env` grants; they win over the host's own.
    #[serde(default)]
    pub(crate) env: Named<String>,
    /// What it may reach. Nothing, unless it is written here.
    #[serde(default)]
    pub(crate) permissions: RawPermissions,
    /// What it may use up.
    #[serde(default)]
    pub(crate) limits: RawLimits,
    /// How to ask the service itself whether it is well.
    pub(crate) health: Option<RawHealth>,
    /// The connections to a service with a `url`.
    pub(crate) pool: Option<RawPool>,
    /// How connections to a service with an `https` `url` are made.
    pub(crate) tls: Option<RawUpstreamTls>,
    /// How a service with a `url` knows who calls: `mtls`, by the certificate in `tls`; `token`, by a token of a
    /// minute with each request; `none`: because nobody else can reach it.
    #[schemars(extend("default" = "none"))]
    pub(crate) trust: Option<RawProof>,
    /// How a new build goes live.
    #[serde(default)]
    pub(crate) swap: RawSwap,
    /// How it handles the events it subscribes to.
    #[serde(default)]
    pub(crate) events: RawConsumer,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSwap {
    /// The request that a new build must answer, with anything but 5xx, before it is live.
    #[schemars(extend("default" = defaults::SMOKE))]
    pub(crate) smoke: Option<String>,
    /// How `archipel swap --ramp` goes about it: by shares of the traffic.
    #[serde(default)]
    pub(crate) ramp: RawRamp,
    /// When a ramp goes back by itself: how much worse than the old build the new one may be.
    #[serde(default)]
    pub(crate) rollback: RawRollback,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRamp {
    /// The shares of requests that the new build gets, one after the other, then all. Not written:
    /// `["5%", "25%", "50%"]`.
    #[schemars(extend("default" = defaults::RAMP_STEPS))]
    pub(crate) steps: Option<Vec<Share>>,
    /// How long each step lasts at least.
    #[schemars(extend("default" = defaults::RAMP_STEP))]
    pub(crate) step: Option<Time>,
    /// How many requests the new build must have answered in each step; fewer are never judged.
    #[schemars(extend("default" = defaults::RAMP_REQUESTS))]
    pub(crate) min_requests: Option<u64>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRollback {
    /// By how many points the share of failed requests may be above the old build's.
    #[schemars(extend("default" = defaults::ROLLBACK_ERROR_RATE))]
    pub(crate) error_rate: Option<Share>,
    /// By how much the mean time to the head of an answer may be above the old build's.
    #[schemars(extend("default" = defaults::ROLLBACK_LATENCY))]
    pub(crate) latency: Option<Share>,
    /// The time over which both are compared.
    #[schemars(extend("default" = defaults::ROLLBACK_WINDOW))]
    pub(crate) window: Option<Time>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLimits {
    /// One instance, all its linear memories together.
    #[schemars(extend("default" = defaults::MEMORY))]
    pub(crate) memory: Option<Size>,
    /// Wall clock of one request, but for the time in which its client's body is waited for.
    #[schemars(extend("default" = defaults::SERVICE_TIMEOUT))]
    pub(crate) timeout: Option<Time>,
    /// Time one request may spend executing the component.
    #[schemars(extend("default" = defaults::CPU))]
    pub(crate) cpu: Option<Time>,
    /// Requests in the service at once.
    #[schemars(extend("default" = defaults::CONCURRENCY))]
    pub(crate) concurrency: Option<u64>,
    /// Where requests wait when `concurrency` is used up; beyond it they get 503 at once.
    pub(crate) queue: Option<RawQueue>,
    /// Keep an instance for later requests. Not written: a fresh one for each request, so that
    /// no request ever meets memory of another.
    pub(crate) reuse: Option<RawReuse>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawQueue {
    /// Requests that may wait.
    #[schemars(extend("default" = defaults::QUEUE_LENGTH))]
    pub(crate) length: Option<u64>,
    /// How long each may wait.
    #[schemars(extend("default" = defaults::QUEUE_WAIT))]
    pub(crate) wait: Option<Time>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawReuse {
    /// Requests an instance answers before it is dropped.
    #[schemars(extend("default" = defaults::REUSE_REQUESTS))]
    pub(crate) requests: Option<u64>,
    /// How long an instance waits for its next request before it is dropped.
    #[schemars(extend("default" = defaults::REUSE_IDLE))]
    pub(crate) idle: Option<Time>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHealth {
    /// The path to GET; anything below 400 is well.
    #[schemars(required)]
    pub(crate) path: Option<String>,
    /// How often each address of a service with a `url` is asked; those that are not well get no requests.
    #[schemars(extend("default" = defaults::HEALTH_INTERVAL))]
    pub(crate) interval: Option<Time>,
}
