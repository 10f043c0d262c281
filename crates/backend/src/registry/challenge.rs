//! What a registry wants to be shown before it answers: a name and a password, or a token that another address gives
//! for them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, StatusCode, Uri, header};
use serde::Deserialize;

use super::{
    docker::Login,
    transport::{Answer, Ask, Transport},
};

/// More than any token has.
const TOKEN_BYTES_MAX: usize = 64 << 10;

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// The `Authorization` that answers a 401.
///
/// # Errors
/// Why there is none, without a secret.
pub(super) async fn answered(
    transport: &Transport,
    refusal: &Answer,
    login: Option<&Login>,
    (repository, may): (&str, &str),
) -> Result<HeaderValue, String> {
    let wanted = refusal.header(header::WWW_AUTHENTICATE).ok_or("it says not what it wants to be shown")?;
    let (scheme, parameters) = wanted.split_once(' ').unwrap_or((wanted, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return login.map(basic).ok_or_else(|| "nobody has logged in".to_owned());
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(format!("it wants `{scheme}`, which is not supported"));
    }
    let realm = parameter(parameters, "realm").ok_or("it says not who gives tokens for it")?;
    let mut address = format!("{realm}{}scope=repository%3A{}%3A{}", and(&realm), encoded(repository), encoded(may));
    if let Some(service) = parameter(parameters, "service") {
        address.push_str(&format!("&service={}", encoded(&service)));
    }
    let address: Uri = address.parse().map_err(|_wrong| format!("tokens come from `{realm}`, which is no address"))?;
    let mut ask = Ask::get(address);
    ask.authorization = login.map(basic);
    let answer = transport.ask(&ask).await.map_err(|reason| format!("`{realm}` gives no token: {reason}"))?;
    if answer.status != StatusCode::OK {
        return Err(format!("`{realm}` gives no token: it answered {}", answer.status));
    }
    let body = answer.whole(TOKEN_BYTES_MAX).await?.ok_or_else(|| format!("`{realm}` gives no token but a flood"))?;
    let token: Token = serde_json::from_slice(&body).map_err(|_error| format!("`{realm}` gives no token"))?;
    let token = token.token.or(token.access_token).ok_or_else(|| format!("`{realm}` gives no token"))?;
    sensitive(format!("Bearer {token}")).ok_or_else(|| format!("`{realm}` gives no token"))
}

fn basic(login: &Login) -> HeaderValue {
    let word = STANDARD.encode(format!("{}:{}", login.name, login.password));
    sensitive(format!("Basic {word}")).expect("base64 is no control character")
}

fn sensitive(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn and(address: &str) -> char {
    if address.contains('?') { '&' } else { '?' }
}

fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// `name="value"` among others, which may have commas in them.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').map_or((after, ""), |(value, rest)| (value, rest)),
        };
        if key.trim_matches([' ', ',']).eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_as_it_is_written() {
        let written =
            r#"realm="https://auth.example.com/token?a=b",service=registry, scope="repository:a/b:pull,push""#;
        assert_eq!(parameter(written, "realm").as_deref(), Some("https://auth.example.com/token?a=b"));
        assert_eq!(parameter(written, "service").as_deref(), Some("registry"));
        assert_eq!(parameter(written, "scope").as_deref(), Some("repository:a/b:pull,push"));
        assert_eq!(parameter(written, "error"), None);
        assert_eq!(parameter("realm", "realm"), None);
        assert_eq!(encoded("pull,push a"), "pull%2Cpush%20a");
    }
}
