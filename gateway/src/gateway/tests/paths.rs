//! No spelling of a path reaches what its normal form does not.

use proptest::prelude::*;

use super::*;

/// The routes that answer with their own name and the path they received.
fn named_routes() -> Gateway {
    let names = ["/{*rest}", "/public/{*rest}", "/public/a", "/admin", "/admin/{id}", "/a.b/{x}/c", "/caf%C3%A9"];
    let entries = names.map(|name| {
        entry(
            name,
            Methods::Any,
            service(move |request: Request<Body>| {
                Ok(Response::new(body::full(format!("{name} {}", request.uri().path()))))
            }),
        )
    });
    Gateway::new(table(entries.into()), settings())
}

/// `None` if the gateway refuses the path.
fn reached(runtime: &tokio::runtime::Runtime, gateway: &Gateway, path: &str) -> Option<String> {
    let request = Request::get(path).header("host", "a").body(Full::default()).ok()?;
    runtime.block_on(async {
        let response = send(gateway, request).await;
        match response.status() {
            StatusCode::OK => Some(text(response).await.unwrap()),
            StatusCode::BAD_REQUEST => None,
            other => panic!("{path}: {other}"),
        }
    })
}

/// Decodes everything once, without any of the gateway's code.
fn decoded(path: &str) -> Vec<u8> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            decoded.push(byte);
        }
    }
    decoded
}

fn spelled() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec!["/", "a", "b", ".", "admin", "public", "c", "%61", "%2e", "%2E", "%41", "%64min", "caf", "%c3%a9", "%C3%A9", "a.b", "7"]),
        2 => prop::sample::select(vec!["%2f", "%5c", "%00", ";", "\\", "..", "//", "%252e", "%25", "%c0%af", "%zz", "%", "~", "%7E", "%3b", "#", "?", "|", "[", "^", "{", "}", "%7c"]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn a_spelling_reaches_exactly_what_its_normal_form_reaches(path in spelled()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let gateway = named_routes();
        // What `http` takes for the query or the fragment is no part of the path.
        let plain = path.split(['?', '#']).next().unwrap();
        match path::normal_form(plain) {
            Err(_) => prop_assert_eq!(reached(&runtime, &gateway, &path), None),
            Ok(normal) => {
                prop_assert_eq!(path::normal_form(&normal), Ok(normal.clone()));
                prop_assert_eq!(decoded(plain), decoded(&normal));
                let found = reached(&runtime, &gateway, plain);
                prop_assert!(found.is_some());
                prop_assert_eq!(&found, &reached(&runtime, &gateway, &normal));
                prop_assert!(found.unwrap().ends_with(&format!(" {normal}")), "the service sees the normal form");
            }
        }
    }
}

#[tokio::test]
async fn a_path_without_a_normal_form_is_a_400_and_reaches_nothing() {
    let seen = Seen::default();
    let gateway = gateway(recording(&seen));
    for path in ["/a/../b", "/%2e%2e/b", "/a//b", "/a%2fb", "/a;b", "/a%00"] {
        let response = send(&gateway, request(&format!("GET {path}"))).await;
        assert!(sentence(response, 400).await.starts_with("The path must"), "{path}");
    }
    assert_eq!(seen.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn the_query_is_forwarded_byte_for_byte() {
    let seen = Seen::default();
    send(&gateway(recording(&seen)), request("GET /%61?b=%2e%2E&&c=%41;")).await;
    assert_eq!(seen.lock().unwrap()[0].0.uri, "/a?b=%2e%2E&&c=%41;");
}
