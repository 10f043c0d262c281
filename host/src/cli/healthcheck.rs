//! `archipel healthcheck`: asks whether a host answers, and not who it is.
//!
//! Nothing secret is sent and one number is read, so a certificate is not judged: it names the host that
//! clients ask for, and a probe asks an address of its own machine.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustls::{ClientConfig, ClientConnection, StreamOwned, crypto::ring};

use backend::unjudged::Unjudged;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
/// Of a name; more are not tried.
const ADDRESSES_MAX: usize = 8;
/// `HTTP/1.1 200`.
const STATUS_LINE_BYTES: usize = 12;

/// Where a host listens that is not told otherwise.
const USUAL: [&str; 2] = ["127.0.0.1:3000", "[::1]:3000"];

/// Asks `at` until it answers 2xx, for at most `wait`; at least once.
pub(super) fn ask(at: Option<&str>, wait: Duration) -> anyhow::Result<ExitCode> {
    let addresses = at.map_or(USUAL.to_vec(), |at| vec![at]);
    let urls: Vec<String> = addresses.into_iter().flat_map(urls).collect();
    let targets = urls.iter().map(|url| Target::of(url)).collect::<anyhow::Result<Vec<_>>>()?;
    let until = Instant::now() + wait;
    loop {
        match any(&targets) {
            Ok(()) => return Ok(ExitCode::SUCCESS),
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// An address may speak either.
fn urls(at: &str) -> Vec<String> {
    match at.contains("://") {
        true => vec![at.to_owned()],
        false => ["http", "https"].map(|scheme| format!("{scheme}://{at}/health/ready")).into(),
    }
}

/// The first that answers at all decides. If none does, it is the first one's reason.
fn any(targets: &[Target<'_>]) -> anyhow::Result<()> {
    let mut first = None;
    for target in targets {
        match target.ask() {
            Ok(200..=299) => return Ok(()),
            Ok(status) => bail!("`{}` answered {status}", target.url),
            Err(error) => _ = first.get_or_insert(error),
        }
    }
    Err(first.unwrap_or_else(|| anyhow::anyhow!("there is no address to ask")))
}

struct Target<'a> {
    url: &'a str,
    authority: http::uri::Authority,
    path: String,
    secure: bool,
}

impl<'a> Target<'a> {
    fn of(url: &'a str) -> anyhow::Result<Self> {
        let uri: http::Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
        let (secure, authority) = match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) => (false, authority.clone()),
            (Some("https"), Some(authority)) => (true, authority.clone()),
            _ => bail!("`{url}` must be an http:// or https:// URL, such as http://127.0.0.1:3000/health/ready"),
        };
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        Ok(Self { url, authority, path, secure })
    }

    fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// Asks each address of the name until one answers; its status.
    fn ask(&self) -> anyhow::Result<u16> {
        let port = self.authority.port_u16().unwrap_or(if self.secure { 443 } else { 80 });
        let found = (self.host(), port).to_socket_addrs();
        let mut last = anyhow::anyhow!("cannot find the host of `{}`", self.url);
        for address in found.into_iter().flatten().take(ADDRESSES_MAX) {
            match self.ask_at(address) {
                Ok(status) => return Ok(status),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn ask_at(&self, address: SocketAddr) -> anyhow::Result<u16> {
        let url = self.url;
        let stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)
            .with_context(|| format!("nothing answers at `{url}`; is `archipel run` running?"))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let status = match self.secure {
            true => self.status_of(StreamOwned::new(self.session()?, stream)),
            false => self.status_of(stream),
        };
        let status = status.with_context(|| format!("`{url}` gave no answer"))?;
        let number = std::str::from_utf8(&status[STATUS_LINE_BYTES - 3..]).ok().and_then(|text| text.parse().ok());
        number.with_context(|| format!("`{url}` gave no answer in HTTP/1.1"))
    }

    fn status_of(&self, mut stream: impl Read + Write) -> std::io::Result<[u8; STATUS_LINE_BYTES]> {
        let (path, authority) = (&self.path, &self.authority);
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n")?;
        stream.flush()?;
        let mut status = [0; STATUS_LINE_BYTES];
        stream.read_exact(&mut status)?;
        Ok(status)
    }

    fn session(&self) -> anyhow::Result<ClientConnection> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Unjudged(provider)));
        let name = self.host().to_owned().try_into().with_context(|| format!("`{}` names no host", self.url))?;
        Ok(ClientConnection::new(Arc::new(config.with_no_client_auth()), name)?)
    }
}
