//! The admin API of another host of our system, asked for what it runs.
//!
//! Decides whom a token is shown: whose certificate is believed, and without TLS nobody who is not on this machine. Consul,
//! which says where they are, is not believed that they are ours.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway::body;
use http::{HeaderValue, Method, Request, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Limited};

use super::{
    dial::Dialler,
    endpoint::{Endpoint, Times},
    secure::Secure,
};
use crate::http::Outbound;
use grant::net::{Place, Scheme, Target};
use manifest::{PoolSettings, TakeBuilds, UpstreamTls};

/// What a word about what runs may take, and what a build may.
const WORD_MAX: Duration = Duration::from_secs(20);
const BUILD_MAX: Duration = Duration::from_secs(60);
const WORD_MAX_BYTES: usize = 4 << 20;
const BUILD_MAX_BYTES: usize = 64 << 20;

/// Why another host did not say what it runs.
#[derive(Debug, thiserror::Error)]
pub enum SiblingError {
    #[error("it is no address")]
    Address,
    #[error("it has no TLS, and others than this machine's hosts are asked by `https` only; give it `[admin.tls]`")]
    Open,
    #[error("it cannot be asked: {0}")]
    Unanswered(String),
    #[error("it answered {0}")]
    Refused(StatusCode),
}

/// One of them.
pub struct Sibling {
    endpoint: Endpoint,
    token: HeaderValue,
}

impl Sibling {
    /// The one whose admin API is at `url`.
    ///
    /// # Errors
    /// [`SiblingError::Address`], [`SiblingError::Open`].
    pub fn at(url: &str, by: &TakeBuilds, outbound: &Outbound) -> Result<Self, SiblingError> {
        let target: Target = url.parse().map_err(|_other| SiblingError::Address)?;
        let is_here = matches!(&target.place, Place::Address(address) if address.to_canonical().is_loopback());
        if target.scheme != Scheme::Https && !is_here {
            return Err(SiblingError::Open);
        }
        let tls = UpstreamTls { ca: by.ca.clone(), ..UpstreamTls::default() };
        let secure = Secure::new(outbound.tls(), tls);
        let dialler = Dialler::new(outbound.resolver().apart(), secure.into());
        let pool = PoolSettings { connections_max: std::num::NonZeroUsize::MIN, idle: WORD_MAX, http2: false };
        let token = HeaderValue::try_from(format!("Bearer {}", by.token.reveal()));
        let mut token = token.map_err(|error| SiblingError::Unanswered(error.to_string()))?;
        token.set_sensitive(true);
        Ok(Self { endpoint: Endpoint::new("siblings".into(), target, dialler, pool), token })
    }

    /// What `GET /v1/status` answers. Cancel safe.
    pub async fn status(&self) -> Result<Bytes, SiblingError> {
        self.ask("/v1/status", WORD_MAX_BYTES, WORD_MAX).await
    }

    /// A build that `service` has run there, as it says. Cancel safe.
    pub async fn build(&self, service: &str, digest: &str) -> Result<Bytes, SiblingError> {
        let path = format!("/v1/services/{service}/build?digest={digest}");
        self.ask(&path, BUILD_MAX_BYTES, BUILD_MAX).await
    }

    async fn ask(&self, path: &str, max: usize, within: Duration) -> Result<Bytes, SiblingError> {
        let unanswered = |error: String| SiblingError::Unanswered(error);
        let request = Request::builder().method(Method::GET).uri(path).header(AUTHORIZATION, self.token.clone());
        let request = request.body(body::full(Bytes::new())).map_err(|error| unanswered(error.to_string()))?;
        let times = Times { wait: within, by: Instant::now() + within };
        let asked = async {
            let answer = self.endpoint.send(request, times).await;
            let answer = answer.map_err(|failed| unanswered(failed.error.to_string()))?;
            if !answer.status().is_success() {
                return Err(SiblingError::Refused(answer.status()));
            }
            let body = Limited::new(answer.into_body(), max).collect().await;
            Ok(body.map_err(|error| unanswered(error.to_string()))?.to_bytes())
        };
        let late = |_elapsed| unanswered(format!("it took longer than {within:?}"));
        tokio::time::timeout(within, asked).await.map_err(late)?
    }
}

#[cfg(test)]
mod tests {
    use manifest::Secret;

    use super::*;

    #[test]
    fn a_token_is_shown_to_no_other_machine_without_tls() {
        let by = TakeBuilds { token: Secret::new("a-token-of-all-hosts".into()), ca: None };
        let outbound = Outbound::new(None).unwrap();
        let at = |url: &str| Sibling::at(url, &by, &outbound).map(drop);
        for url in ["https://10.0.0.5:3900", "https://ops.shop.test:3900", "http://127.0.0.1:3900", "http://[::1]:3900"]
        {
            assert!(at(url).is_ok(), "{url}");
        }
        for url in ["http://10.0.0.5:3900", "http://localhost:3900", "http://[::]:3900"] {
            assert!(matches!(at(url), Err(SiblingError::Open)), "{url}");
        }
        assert!(matches!(at("ftp://10.0.0.5"), Err(SiblingError::Address)));
    }
}
