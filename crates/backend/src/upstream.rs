//! Services that are no components: HTTP to where they run.
//!
//! Decides which address a request goes to, and whether it goes to another when one fails. How long
//! it may take, how many may be under way and what a failure looks like to a client is decided by
//! those who ask. Start at [`Upstream::send`].

mod answer;
mod balance;
mod check;
mod condition;
mod consul;
mod dial;
mod dns;
mod endpoint;
mod error;
mod hosts;
mod instances;
mod link;
mod load;
mod members;
mod pool;
mod registrar;
mod secure;
mod sibling;
mod standing;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use gateway::{body::Body, retry};
use http::{Request, Response, StatusCode};
use tokio::time::timeout_at;

use crate::http::Outbound;
use grant::net::Scheme;
use manifest::{UpstreamSettings, Whereabouts};

pub use self::{
    answer::Answer,
    condition::Health,
    consul::{ConsulError, FoundHost},
    error::UpstreamError,
    hosts::hosts,
    registrar::{BEAT, HEARD, Here, Registrar},
    sibling::{Sibling, SiblingError},
};
use self::{
    check::Checks,
    consul::Consul,
    dial::Dialler,
    dns::Dns,
    endpoint::{Endpoint, Times, Unanswered},
    members::Members,
    secure::Secure,
    standing::Verdict,
    watch::{Guide, Watch},
};

/// A service elsewhere; dropped with its last request.
pub struct Upstream {
    at: Whereabouts,
    members: Arc<Members>,
    secure: Arc<Secure>,
    wait: Duration,
    budget: retry::Budget,
    retries: AtomicU64,
    _checks: Option<Checks>,
    _watch: Option<Watch>,
}

/// How far one request may go.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// When the head of the answer must be there.
    pub by: Instant,
    /// Being late sooner than this is not the service's fault.
    pub fair_by: Instant,
    /// Whether an answer of 502 or 503 is reason to ask again; what was not even sent always may be.
    pub again: bool,
    /// The answer may go on for as long as it likes: its head tells how its address is, not its end.
    pub is_stream: bool,
}

/// One address, for those who look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressReport {
    pub address: String,
    pub health: Health,
    pub in_flight: usize,
    pub connections: usize,
}

impl Upstream {
    /// Needs a tokio runtime, on which its connections live. Nothing is dialled yet, but for checks.
    pub fn new(settings: &UpstreamSettings, outbound: &Outbound) -> Self {
        Self::after(settings, outbound, None)
    }

    /// The same, which knows until somebody says otherwise where `before` was, if both are found by the same name.
    pub fn after(settings: &UpstreamSettings, outbound: &Outbound, before: Option<&Self>) -> Self {
        let secure = Arc::new(Secure::new(outbound.tls(), settings.tls.clone()));
        let dialler = Dialler::new(outbound.resolver().apart(), secure.clone());
        let members = Arc::new(Members::new(settings.name.clone(), dialler.clone(), settings.pool));
        let scheme = if settings.is_encrypted() { Scheme::Https } else { Scheme::Http };
        if let Some(before) = before.filter(|before| is_found_alike(&before.at, &settings.at)) {
            members.inherit(&before.members, scheme);
        }
        let watch = match &settings.at {
            Whereabouts::Fixed(urls) => {
                members.replace(urls);
                None
            }
            Whereabouts::Consul { name, agent } => {
                let consul = Consul::new(agent, Dialler::plain(outbound));
                Some(Watch::start(Guide::Consul(consul, name.clone(), scheme), members.clone()))
            }
            Whereabouts::Dns { question, by } => {
                let dns = Dns::new(by, question.clone(), scheme);
                Some(Watch::start(Guide::Dns(dns), members.clone()))
            }
        };
        let checks = settings.health.clone().map(|health| Checks::start(health, members.clone()));
        let (at, wait, budget) = (settings.at.clone(), settings.limits.queue_wait, retry::Budget::new());
        Self { at, members, secure, wait, budget, retries: AtomicU64::new(0), _checks: checks, _watch: watch }
    }

    /// Sends a request as far as the head of its answer; the body streams after that. Its path is sent
    /// as it is, its headers are those that a service may see.
    ///
    /// Cancel safe: dropping it, or the answer before its end, ends the exchange and its connection.
    ///
    /// # Errors
    /// [`UpstreamError`]. What cannot be repeated was sent at most once.
    pub async fn send(&self, request: Request<Body>, allowed: Allowance) -> Result<Response<Answer>, UpstreamError> {
        self.budget.sent();
        let may_repeat = allowed.again && retry::is_idempotent(request.method(), request.headers());
        let (mut request, mut avoided, mut tried) = (request, None, 1);
        loop {
            let found = timeout_at(allowed.by.into(), self.members.found()).await;
            let all = found.unwrap_or_else(|_elapsed| self.members.all());
            let endpoint = balance::choose(&all, avoided.as_ref());
            let endpoint = endpoint.ok_or_else(|| self.none(all.len()))?;
            let copy = if may_repeat { copied(&request) } else { None };
            let mut answered = self.asked(&endpoint, request, allowed).await;
            let (again, asked_to_wait) = match &mut answered {
                Ok(response) if is_passing(response.status()) => {
                    (copy, retry::backoff(tried, Some(response.headers())))
                }
                Err(failed) if failed.error.is_passing() => {
                    let unsent = failed.unsent.take().map(|request| *request);
                    (unsent.or(copy), retry::backoff(tried, None))
                }
                _ => (None, Duration::ZERO),
            };
            // Another address need not be spared, nor one that had only closed an old connection.
            let is_spared = answered.as_ref().map_or_else(|failed| all.len() == 1 && !failed.is_stale, |_| true);
            let pause = if is_spared { asked_to_wait } else { Duration::ZERO };
            let has_another = allowed.again || all.len() > 1;
            let in_time = has_another && tried < retry::TRIES_MAX && Instant::now() + pause < allowed.by;
            let Some(next) = again.filter(|_| in_time && self.budget.take()) else {
                return answered.map_err(|failed| failed.error);
            };
            drop(answered); // its connection is free again
            tokio::time::sleep(pause).await;
            self.retries.fetch_add(1, Relaxed);
            (request, avoided, tried) = (next, Some(endpoint), tried + 1);
        }
    }

    /// One try, and what its head tells of its address; the rest is told by its body.
    async fn asked(
        &self,
        endpoint: &Arc<Endpoint>,
        request: Request<Body>,
        allowed: Allowance,
    ) -> Result<Response<Answer>, Unanswered> {
        let times = Times { wait: self.wait, by: allowed.by };
        let was_whole = request.body().is_whole();
        let answered = timeout_at(allowed.by.into(), endpoint.send(request, times)).await;
        let mut answered = answered.unwrap_or_else(|_elapsed| {
            let error = UpstreamError::Late { address: endpoint.address.clone() };
            Err(Unanswered { error, unsent: None, is_stale: false })
        });
        let standing = &endpoint.standing;
        match &mut answered {
            Ok(response) if is_gateways(response.status()) => {
                let reason = format!("it answered {}", response.status().as_u16());
                standing.failed(&UpstreamError::Broken { address: endpoint.address.clone(), reason });
            }
            Ok(response) if allowed.is_stream || response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                standing.succeeded();
            }
            Ok(response) => response.body_mut().judge(Verdict::new(standing.clone(), was_whole)),
            Err(Unanswered { error: UpstreamError::RequestBody(_) | UpstreamError::Full { .. }, .. }) => {}
            Err(Unanswered { is_stale: true, .. }) => {}
            Err(Unanswered { error: UpstreamError::Late { .. }, .. }) if Instant::now() < allowed.fair_by => {}
            Err(failed) => standing.failed(&failed.error),
        }
        answered
    }

    /// None of so many addresses can be asked.
    fn none(&self, addresses: usize) -> UpstreamError {
        match addresses {
            0 => UpstreamError::Nowhere { reason: self.members.why_none() },
            addresses => UpstreamError::NoneWell { addresses },
        }
    }

    /// Closes connections that have waited for too long, and looks at certificate files.
    pub fn tend(&self) {
        self.secure.tend();
        self.members.all().iter().for_each(|endpoint| endpoint.pool.tend());
    }

    /// The certificate that it is shown, and until when that is good.
    pub fn certificate(&self) -> Option<(&Path, SystemTime)> {
        self.secure.own()
    }

    /// Its addresses as they are now.
    pub fn report(&self) -> Vec<AddressReport> {
        let report = |endpoint: &Arc<Endpoint>| AddressReport {
            address: endpoint.address.clone(),
            health: endpoint.standing.now(),
            in_flight: endpoint.load(),
            connections: endpoint.pool.open(),
        };
        self.members.all().iter().map(report).collect()
    }

    /// Requests that were sent another time.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }
}

/// Whether both are found by the same name in the same place, whoever is asked for it.
fn is_found_alike(one: &Whereabouts, other: &Whereabouts) -> bool {
    match (one, other) {
        (Whereabouts::Consul { name, agent }, Whereabouts::Consul { name: others, agent: of_other }) => {
            name == others && agent.datacenter == of_other.datacenter
        }
        (Whereabouts::Dns { question, .. }, Whereabouts::Dns { question: others, .. }) => question == others,
        _ => false,
    }
}

/// The same request once more, if all of its body is here. Extensions are the host's.
fn copied(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().copy()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// Statuses after which the same request may have another answer.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502 | 503)
}

/// Statuses of somebody who stands in front of who should have answered, or who has no room.
fn is_gateways(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}
