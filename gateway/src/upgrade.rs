//! Another protocol on the connection of a request: `Upgrade` of HTTP/1.1 (RFC 9110 7.8), as WebSockets use it.
//!
//! Decides which requests ask for one that may pass, whose pages may ask, and which answers agree. Never
//! another version of HTTP or TLS: what follows would pass every check of the gateway unseen.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, Version,
    header::{CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
    request::Parts,
};
use ring::digest;

use crate::{authority::Authority, cors, framing::line};

/// What a WebSocket's key is hashed with: RFC 6455 1.3.
const WEBSOCKET: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The length of that key: 16 bytes in base64.
const KEY_BYTES: usize = 24;

/// A request's wish for another protocol.
#[derive(Debug)]
pub(crate) struct Wish {
    protocol: HeaderValue,
    /// What the answer proves with that it read the wish, for a WebSocket.
    accept: Option<String>,
}

impl Wish {
    /// None of a request that asks for nothing, or for what does not pass: it is answered as if it had not asked.
    pub(crate) fn of(head: &Parts, has_body: bool) -> Option<Self> {
        let headers = &head.headers;
        if !headers.contains_key(UPGRADE) || head.version != Version::HTTP_11 || has_body || !names_upgrade(headers) {
            return None;
        }
        let protocol = only(headers, UPGRADE)?.clone();
        if !may_pass(protocol.as_bytes()) {
            return None;
        }
        let accept = match protocol.as_bytes().eq_ignore_ascii_case(b"websocket") {
            true => Some(accepted(only(headers, SEC_WEBSOCKET_KEY).filter(|_| head.method == Method::GET)?)?),
            false => None,
        };
        Some(Self { protocol, accept })
    }

    /// Says it to the service, to which nothing else of the client's connection goes.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        tell(headers, self.protocol.clone());
    }

    /// Whether a 101 is what was asked for.
    ///
    /// # Errors
    /// A sentence for the log.
    pub(crate) fn is_granted<B>(&self, response: &Response<B>) -> Result<(), &'static str> {
        let headers = response.headers();
        let protocol = only(headers, UPGRADE).ok_or("its 101 does not name one protocol in `Upgrade`")?;
        if !protocol.as_bytes().eq_ignore_ascii_case(self.protocol.as_bytes()) {
            return Err("its 101 is for another protocol than was asked for");
        }
        let proof = only(headers, SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        match &self.accept {
            Some(accept) if proof != Some(accept.as_bytes()) => {
                Err("its `Sec-WebSocket-Accept` is not that of the key")
            }
            _ => Ok(()),
        }
    }
}

/// Whether the page that asks, if it is a page that asks, may: one of the same host, or one that may read answers
/// by the rules of CORS. Browsers hold pages to these for requests, but not for WebSockets.
pub(crate) fn is_of_admitted_page(
    headers: &HeaderMap,
    asked_for: Option<&HeaderValue>,
    cors: Option<&cors::Asked>,
) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let Some(origin) = only(headers, ORIGIN) else { return false };
    is_of_host(origin, asked_for) || cors.is_some_and(|cors| cors.admits(origin))
}

fn is_of_host(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let (Ok(origin), Some(Ok(host))) = (origin.to_str(), host.map(HeaderValue::to_str)) else { return false };
    let Some((scheme, page)) = origin.split_once("://") else { return false };
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return false,
    };
    match (Authority::parse(page), Authority::parse(host)) {
        (Ok(page), Ok(host)) => page.host == host.host && page.port.unwrap_or(usual) == host.port.unwrap_or(usual),
        _ => false,
    }
}

/// Sets what an upgrade says on each hop.
pub(crate) fn tell(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// One protocol, with or without a version.
fn may_pass(protocol: &[u8]) -> bool {
    let mut parts = protocol.splitn(2, |byte| *byte == b'/');
    let name = parts.next().unwrap_or_default();
    let is_hidden = [&b"h2c"[..], b"h2", b"http", b"tls"].iter().any(|hidden| name.eq_ignore_ascii_case(hidden));
    line::is_token(name) && parts.next().is_none_or(line::is_token) && !is_hidden
}

fn accepted(key: &HeaderValue) -> Option<String> {
    if key.len() != KEY_BYTES {
        return None;
    }
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(WEBSOCKET.as_bytes());
    Some(BASE64.encode(hash.finish()))
}

fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
