//! Which requests ask for another protocol, which answers agree, which pages may ask.

use http::Request;

use super::*;

/// The example of RFC 6455 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn head(method: &str, fields: &[(&str, &str)]) -> Parts {
    let request = Request::builder().method(method).uri("/").header("host", "shop.test");
    fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap().into_parts().0
}

fn wish(fields: &[(&str, &str)]) -> Option<Wish> {
    Wish::of(&head("GET", fields), false)
}

#[test]
fn only_a_whole_wish_for_a_protocol_that_may_pass_is_one() {
    let websocket = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket"), ("sec-websocket-key", KEY)];
    assert_eq!(wish(&websocket).unwrap().accept.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(wish(&[("connection", "upgrade"), ("upgrade", "custom/1.0")]).is_some());
    let mut with_body = head("GET", &websocket);
    assert!(Wish::of(&with_body, true).is_none());
    with_body.version = Version::HTTP_10;
    assert!(Wish::of(&with_body, false).is_none());
    assert!(Wish::of(&head("POST", &websocket), false).is_none());
    for hidden in ["h2c", "H2C", "HTTP/2.0", "http/1.0", "TLS/1.0", "h2", "a, b", "websocket, h2c", "", "a b", "a/"] {
        assert!(wish(&[("connection", "upgrade"), ("upgrade", hidden)]).is_none(), "{hidden}");
    }
    assert!(wish(&websocket[1..]).is_none(), "`Connection` does not name it");
    assert!(wish(&websocket[..2]).is_none(), "no key");
    assert!(wish(&[websocket[0], websocket[1], ("sec-websocket-key", "short")]).is_none());
    assert!(wish(&[websocket[0], websocket[1], websocket[2], ("upgrade", "other")]).is_none(), "two protocols");
}

#[test]
fn an_answer_agrees_to_what_was_asked_for_and_proves_that_it_read_it() {
    let asked = wish(&[("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", KEY)]).unwrap();
    let answer = |fields: &[(&str, &str)]| {
        let response = Response::builder().status(101);
        let response = fields.iter().fold(response, |response, (name, value)| response.header(*name, *value));
        asked.is_granted(&response.body(()).unwrap())
    };
    let accept = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(answer(&[("upgrade", "WebSocket"), accept]), Ok(()));
    assert!(answer(&[accept]).unwrap_err().contains("`Upgrade`"));
    assert!(answer(&[("upgrade", "other"), accept]).unwrap_err().contains("another protocol"));
    let wrong = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=");
    assert!(answer(&[("upgrade", "websocket"), wrong]).unwrap_err().contains("Sec-WebSocket-Accept"));
    assert!(answer(&[("upgrade", "websocket")]).unwrap_err().contains("Sec-WebSocket-Accept"));
}

#[test]
fn a_page_may_ask_its_own_host_and_where_cors_lets_it_read() {
    let admitted = |origin: &str, host: &str| {
        let headers = head("GET", &[("origin", origin)]).headers;
        is_of_admitted_page(&headers, Some(&host.parse().unwrap()), None)
    };
    assert!(is_of_admitted_page(&HeaderMap::new(), None, None), "no page asks");
    for (origin, host) in [
        ("https://shop.test", "shop.test"),
        ("https://shop.test", "Shop.Test:443"),
        ("http://shop.test:3000", "shop.test:3000"),
        ("http://[::1]:3000", "[::1]:3000"),
    ] {
        assert!(admitted(origin, host), "{origin} at {host}");
    }
    for (origin, host) in [
        ("https://evil.test", "shop.test"),
        ("https://shop.test.evil.test", "shop.test"),
        ("http://shop.test:3001", "shop.test:3000"),
        ("https://shop.test", "shop.test:3000"),
        ("null", "shop.test"),
        ("ftp://shop.test", "shop.test"),
        ("shop.test", "shop.test"),
    ] {
        assert!(!admitted(origin, host), "{origin} at {host}");
    }
    let twice = head("GET", &[("origin", "https://shop.test"), ("origin", "https://shop.test")]).headers;
    assert!(!is_of_admitted_page(&twice, Some(&"shop.test".parse().unwrap()), None));
}
