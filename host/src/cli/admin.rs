//! Talking to a running host: its admin API, from the command line.
//!
//! Decides where the token comes from: `ARCHIPEL_ADMIN_TOKEN`, else the file that `run` wrote under
//! the `data` of a manifest in this folder or one below it.

use std::{
    fs,
    io::IsTerminal,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::{Method, Request, StatusCode, header, uri::Authority};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

mod follow;
mod secured;

/// How long the host may take: it may compile, and wait for another swap before.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_MAX_BYTES: usize = 16 << 20;
/// Where `run` writes the token, under a manifest's folder with the default `host.data`.
const TOKEN_FILE: &str = ".archipel/admin-token";

/// How to reach the host; the same for every command that talks to one.
#[derive(Debug, Args)]
pub(super) struct Admin {
    /// The host's admin address [default: http://127.0.0.1:3900].
    #[arg(long = "admin", value_name = "URL", env = "ARCHIPEL_ADMIN")]
    url: Option<String>,
    #[command(flatten)]
    files: secured::Files,
    #[arg(skip = ANSWER_TIMEOUT)]
    within: Duration,
}

const DEFAULT_URL: &str = "http://127.0.0.1:3900";

/// The admin address that a manifest's own text names, as this machine reaches it.
#[derive(Deserialize)]
struct Listening {
    admin: Option<AdminTable>,
}

#[derive(Deserialize)]
struct AdminTable {
    listen: Option<SocketAddr>,
    tls: Option<toml::Table>,
}

/// What a request carries.
#[derive(Clone)]
pub(super) enum Body {
    /// A component.
    Wasm(Bytes),
    /// A manifest's text.
    Manifest(Bytes),
    Json(Bytes),
}

/// What the host said.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) document: Value,
}

impl Admin {
    /// The same, with the address of the manifest where the user names none.
    pub(super) fn or_of(&self, manifest: &Path) -> Self {
        let named = || fs::read_to_string(manifest).ok().and_then(|text| named_by(&text));
        Self { url: self.url.clone().or_else(named), files: self.files.clone(), within: self.within }
    }

    /// The same for a host elsewhere.
    pub(super) fn at(&self, url: &str) -> Self {
        Self { url: Some(url.to_owned()), files: self.files.clone(), within: self.within }
    }

    /// The same for questions that are answered within this time, or not at all.
    pub(super) fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    pub(super) fn url(&self) -> &str {
        self.url.as_deref().unwrap_or(DEFAULT_URL)
    }

    pub(super) fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.call(Method::GET, path, None, "")
    }

    /// Sends a request and waits for the answer; a terminal sees `doing` meanwhile.
    pub(super) fn call(&self, method: Method, path: &str, body: Option<Body>, doing: &str) -> anyhow::Result<Answer> {
        let spinner = spinner(doing);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut answer = None;
        for token in self.tokens()? {
            let asked = self.ask(&method, path, body.clone(), &token);
            let asked = runtime.block_on(async { tokio::time::timeout(self.within, asked).await });
            let asked =
                asked.with_context(|| format!("`{}` did not answer within {:?}", self.url(), self.within))??;
            let refused = asked.status == StatusCode::UNAUTHORIZED;
            answer = Some(asked);
            if !refused {
                break;
            }
        }
        spinner.finish_and_clear();
        answer.with_context(|| {
            format!(
                "there is no admin token; set ARCHIPEL_ADMIN_TOKEN to the content of `admin-token` in the host's data \
                 folder (`archipel run` prints where), or go to the folder of its manifest, where `{TOKEN_FILE}` is found"
            )
        })
    }

    fn tokens(&self) -> anyhow::Result<Vec<String>> {
        if let Some(token) = super::run::admin_token() {
            return Ok(vec![token.trim().to_owned()]);
        }
        if !self.is_here() {
            return Ok(Vec::new()); // the files are for hosts of this machine
        }
        let mut files = vec![PathBuf::from(TOKEN_FILE)];
        if let Ok(folders) = fs::read_dir(".") {
            files.extend(folders.flatten().take(1000).map(|folder| folder.path().join(TOKEN_FILE)));
        }
        let read = |file: &PathBuf| fs::read_to_string(file).ok().map(|text| text.trim().to_owned());
        Ok(files.iter().filter_map(read).filter(|token| !token.is_empty()).collect())
    }

    /// Whether the address is one of this machine alone.
    fn is_here(&self) -> bool {
        let uri = self.url().parse::<http::Uri>().ok();
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }

    async fn ask(&self, method: &Method, path: &str, body: Option<Body>, token: &str) -> anyhow::Result<Answer> {
        let (stream, authority) = self.connect().await?;
        let request = request(method, path, &authority, body, token)?;
        self.exchange(stream, request).await
    }

    /// A connection to the host, encrypted where its address says so.
    async fn connect(&self) -> anyhow::Result<(Box<dyn Wire>, Authority)> {
        let url = self.url();
        let uri: http::Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
        let (encrypted, authority) = match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) => (false, authority.clone()),
            (Some("https"), Some(authority)) => (true, authority.clone()),
            _ => bail!("`{url}` must be an http:// or https:// URL, such as http://127.0.0.1:3900"),
        };
        let host = authority.host().trim_matches(['[', ']']);
        let address = (host, authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 }));
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect(address));
        let stream =
            connecting.await.map_err(anyhow::Error::from).and_then(|connected| Ok(connected?)).with_context(|| {
                format!("nothing answers at `{url}`; is `archipel run` running, with this admin address?")
            })?;
        if !encrypted {
            return Ok((Box::new(stream), authority));
        }
        let secured = tokio::time::timeout(CONNECT_TIMEOUT, self.files.connect(host, stream)).await;
        let secured = secured.map_err(anyhow::Error::from).and_then(|secured| secured);
        let secured = secured.with_context(|| {
            format!(
                "no TLS with `{url}`; does the host have `[admin.tls]`, and is `--admin-ca` whose certificate it has?"
            )
        })?;
        Ok((Box::new(secured), authority))
    }

    async fn exchange(&self, stream: Box<dyn Wire>, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let url = self.url();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let sent = sender.send_request(request).await;
        let answer = sent.with_context(|| format!("`{url}` broke off; with `[admin.tls]` it begins with https://"))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("`{url}` broke off its answer: {error}"))?.to_bytes();
        driver.abort();
        let document = serde_json::from_slice(&body).with_context(|| {
            format!("`{url}` answered {status} with something else than JSON; is it a host's admin address?")
        })?;
        Ok(Answer { status, document })
    }
}

/// What a connection is, encrypted or not.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// The rest of the text is the host's to judge.
fn named_by(manifest: &str) -> Option<String> {
    let admin = toml::from_str::<Listening>(manifest).ok()?.admin?;
    let mut address = admin.listen?;
    match address {
        _ if address.port() == 0 => return None,
        SocketAddr::V4(all) if all.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(all) if all.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let scheme = if admin.tls.is_some() { "https" } else { "http" };
    Some(format!("{scheme}://{address}"))
}

impl Answer {
    /// The `data` of a success.
    ///
    /// # Errors
    /// What the host said of a refusal, with the lines that would allow it.
    pub(super) fn data(mut self) -> anyhow::Result<Value> {
        if self.status.is_success() {
            return Ok(self.document["data"].take());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            bail!("the host does not know this admin token; `archipel run` prints where its own is");
        }
        bail!("{}", self.document["error"].as_str().unwrap_or("the host refused without a reason"))
    }
}

fn request(
    method: &Method,
    path: &str,
    authority: &Authority,
    body: Option<Body>,
    token: &str,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority.as_str())
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    let (kind, bytes) = match body {
        Some(Body::Wasm(wasm)) => (Some("application/wasm"), wasm),
        Some(Body::Manifest(text)) => (Some("application/toml"), text),
        Some(Body::Json(text)) => (Some("application/json"), text),
        None => (None, Bytes::new()),
    };
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    Ok(request.body(Full::new(bytes))?)
}

/// A build to send.
pub(super) fn wasm(file: &Path) -> anyhow::Result<Body> {
    let read = crate::component::read(file, None);
    Ok(Body::Wasm(read?.into()))
}

/// A document to send.
pub(super) fn json(document: &Value) -> Body {
    Body::Json(document.to_string().into())
}

/// A manifest to send.
pub(super) fn manifest(file: &Path) -> anyhow::Result<Body> {
    let text = fs::read(file).with_context(|| format!("cannot read `{}`; name a manifest", file.display()))?;
    Ok(Body::Manifest(text.into()))
}

fn spinner(doing: &str) -> ProgressBar {
    if doing.is_empty() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("our own template is valid");
    let spinner = ProgressBar::new_spinner().with_style(style).with_message(doing.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_the_address_that_this_machine_reaches() {
        let named = |listen: &str| named_by(&format!("name = \"shop\"\n[admin]\nlisten = \"{listen}\"\n"));
        assert_eq!(named("127.0.0.1:4900").as_deref(), Some("http://127.0.0.1:4900"));
        assert_eq!(named("0.0.0.0:4900").as_deref(), Some("http://127.0.0.1:4900"));
        assert_eq!(named("[::]:4900").as_deref(), Some("http://[::1]:4900"));
        assert_eq!((named("127.0.0.1:0"), named("nonsense"), named_by("name = \"shop\"")), (None, None, None));
    }
}
