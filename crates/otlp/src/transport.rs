//! The HTTP client that spans leave by: kept connections, TLS by the public roots, and the status of the
//! last answer, which tells whether asking again can help.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, header::RETRY_AFTER};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::{HttpClient, HttpError, hyper::HyperClient};

/// The longest that a collector may ask us to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Transport {
    client: HyperClient<HttpsConnector<HttpConnector>>,
    last: Arc<Last>,
}

/// What the last answer said; 0 is no answer.
#[derive(Debug, Default)]
pub(crate) struct Last {
    status: AtomicU16,
    retry_after_s: AtomicU64,
}

impl Last {
    /// The request itself is not wanted: it will not be the next time either.
    pub(crate) fn is_refusal(&self) -> bool {
        let status = self.status.load(Relaxed);
        (400..500).contains(&status) && !matches!(status, 408 | 429)
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.retry_after_s.load(Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
    }
}

impl Transport {
    pub(crate) fn new(timeout: Duration, last: Arc<Last>) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let connector = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider)?;
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Self { client: HyperClient::new(connector, timeout, None), last })
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.last.status.store(0, Relaxed);
        self.last.retry_after_s.store(0, Relaxed);
        let answer = self.client.send_bytes(request).await?;
        self.last.status.store(answer.status().as_u16(), Relaxed);
        let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        self.last.retry_after_s.store(after.unwrap_or(0), Relaxed);
        Ok(answer)
    }
}
