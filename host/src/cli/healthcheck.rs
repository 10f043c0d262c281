//! `archipel healthcheck`.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// Asks `url` until it answers 2xx, for at most `wait`; at least once.
pub(super) fn ask(url: &str, wait: Duration) -> anyhow::Result<ExitCode> {
    let until = Instant::now() + wait;
    loop {
        let outcome = once(url);
        match outcome {
            Ok(()) => return Ok(ExitCode::SUCCESS),
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn once(url: &str) -> anyhow::Result<()> {
    let uri: http::Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
    let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        bail!("`{url}` must be an http:// URL, such as http://127.0.0.1:3000/health/ready");
    };
    let address = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let address = address.to_socket_addrs().ok().and_then(|mut all| all.next());
    let address = address.with_context(|| format!("cannot find the host of `{url}`"))?;
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)
        .with_context(|| format!("nothing answers at `{url}`; is `archipel run` running?"))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    stream.take(64 << 10).read_to_end(&mut head).with_context(|| format!("`{url}` gave no answer"))?;
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or("nothing");
    match status.starts_with('2') {
        true => Ok(()),
        false => bail!("`{url}` answered {status}"),
    }
}
