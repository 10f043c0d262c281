//! The way to one collector: kept connections, TLS, and what its answer means.
//!
//! One request at a time, whoever sends: so there is one connection.

use std::{str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::{HttpClient, hyper::HyperClient};
use tokio::sync::Mutex;

use crate::{
    Protocol, Settings, authorities,
    error::{InvalidSettings, Untaken, chain},
    grpc::Grpc,
    signal::Signal,
};

/// The longest that a collector may ask us to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Client {
    way: Way,
    /// Of whoever sends now.
    turn: Mutex<()>,
}

#[derive(Debug)]
enum Way {
    Http { client: Box<HyperClient<HttpsConnector<HttpConnector>>>, headers: HeaderMap, content: HeaderValue },
    Grpc(Grpc),
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Result<Self, InvalidSettings> {
        let headers = headers(settings)?;
        let content = match settings.protocol {
            Protocol::Grpc => {
                let way = Way::Grpc(Grpc::new(settings, headers)?);
                return Ok(Self { way, turn: Mutex::default() });
            }
            Protocol::HttpProtobuf => HeaderValue::from_static("application/x-protobuf"),
            Protocol::HttpJson => HeaderValue::from_static("application/json"),
        };
        http::Uri::from_str(&settings.endpoint)
            .map_err(|error| InvalidSettings(format!("`{}` is no address: {error}", settings.endpoint)))?;
        let connector = match &settings.ca {
            Some(file) => HttpsConnectorBuilder::new().with_tls_config(authorities::config(&authorities::read(file)?)?),
            None => {
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let connector = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider);
                connector.map_err(|error| InvalidSettings(error.to_string()))?
            }
        };
        let connector = connector.https_or_http().enable_http1().build();
        let client = Box::new(HyperClient::new(connector, settings.timeout, None));
        Ok(Self { way: Way::Http { client, headers, content }, turn: Mutex::default() })
    }

    /// One attempt, with what [`Signal::body`] made. Gives how many of its items the collector did not want.
    pub(crate) async fn send(&self, signal: Signal, endpoint: &str, body: Bytes) -> Result<u64, Untaken> {
        let _turn = self.turn.lock().await;
        match &self.way {
            Way::Http { client, headers, content } => {
                let mut request = Request::post(endpoint).body(body).map_err(Untaken::for_now)?;
                request.headers_mut().extend(headers.clone());
                request.headers_mut().insert(CONTENT_TYPE, content.clone());
                let answer = client.send_bytes(request).await.map_err(|error| Untaken::for_now(chain(&*error)))?;
                taken(answer.status(), answer.headers())?;
                Ok(signal.unwanted(answer.body(), content == "application/json"))
            }
            Way::Grpc(grpc) => grpc.send(signal, body).await,
        }
    }
}

/// What an HTTP answer says of the request.
fn taken(status: StatusCode, headers: &HeaderMap) -> Result<(), Untaken> {
    if status.is_success() {
        return Ok(());
    }
    let after = headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let is_busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    Err(Untaken {
        reason: format!("it answers {status}"),
        is_refusal: status.is_client_error() && !is_busy,
        retry_after: after.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
    })
}

fn headers(settings: &Settings) -> Result<HeaderMap, InvalidSettings> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("archipel/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &settings.headers {
        let parsed = HeaderName::from_str(name).ok().zip(HeaderValue::from_str(value).ok());
        let (key, value) = parsed.ok_or_else(|| InvalidSettings(format!("`{name}` is no valid header")))?;
        headers.append(key, value);
    }
    Ok(headers)
}
