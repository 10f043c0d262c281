//! Limits and tokens: who comes in, in which order, and what an answer says of it.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::*;
use crate::{
    auth::{Identity, TokenError, Verified, Verify},
    limit::{Key, Limit, Quota, Taken},
};

/// Accepts `true`, and counts how often it was asked.
#[derive(Default)]
struct OneToken(AtomicU32);

impl Verify for OneToken {
    fn verify<'a>(&'a self, token: &'a str) -> Verified<'a> {
        self.0.fetch_add(1, Relaxed);
        let known = if token == "true" { Identity::new("7", ["user"]) } else { Err(TokenError::Refused("unknown")) };
        Box::pin(async { known })
    }
}

/// Allows so many, whoever asks, and keeps who asked.
struct Few {
    left: AtomicU32,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Few {
    fn new(count: u32) -> (Arc<Self>, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::default();
        (Arc::new(Self { left: count.into(), asked: Arc::clone(&asked) }), asked)
    }
}

impl Limit for Few {
    fn take<'a>(&'a self, key: Key<'a>) -> Taken<'a> {
        self.asked.lock().unwrap().push(format!("{key:?}"));
        let left = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        let quota = Quota {
            limit: 9,
            remaining: left.map_or(0, |left| left - 1),
            reset: 1_700_000_000,
            retry_after: left.err().map(|_none| 3),
        };
        Box::pin(async move { quota })
    }
}

/// `/open` is public, `/api/{*rest}` takes `GET` with a token; `/health` is exempt.
fn guarded(limit: Option<Arc<dyn Limit>>, own: Option<Arc<dyn Limit>>, seen: &Seen) -> (Gateway, Arc<OneToken>) {
    let verifier = Arc::new(OneToken::default());
    let access = Access::Token(verifier.clone());
    let get = Methods::Only(vec![Method::GET]);
    let entries = vec![
        entry("/open", Methods::Any, recording(seen)),
        Entry { access: access.clone(), limit: own, ..entry("/api/{*rest}", get, recording(seen)) },
        Entry { exempt: true, ..entry("/health", Methods::Any, hello()) },
    ];
    (Gateway::new(table(entries), Settings { access, limit, ..settings() }), verifier)
}

async fn ask(gateway: &Gateway, text: &str) -> Response<Body> {
    gateway.handle(([192, 0, 2, 1], 9).into(), false, request(text)).await
}

#[tokio::test]
async fn whoever_has_no_token_learns_nothing_about_routes() {
    let seen = Seen::default();
    let (gateway, _) = guarded(None, None, &seen);
    for text in [
        "GET /api/a",
        "POST /api/a",
        "GET /nowhere",
        "GET /open/",
        "GET /api/a\nauthorization: Bearer false",
        "GET /api/a\nauthorization: Basic eDp5",
    ] {
        let answer = ask(&gateway, text).await;
        assert_eq!(answer.status(), 401, "{text}");
        let given = text.contains("Bearer");
        let told = if given { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        assert_eq!(field(answer.headers(), "www-authenticate"), [told], "{text}");
    }
    assert!(seen.lock().unwrap().is_empty());
    for (text, status) in [("GET /api/a", 200), ("POST /api/a", 405), ("GET /nowhere", 404)] {
        assert_eq!(ask(&gateway, &format!("{text}\nauthorization: Bearer true")).await.status(), status, "{text}");
    }
}

#[tokio::test]
async fn a_service_is_told_who_asks_and_never_sees_the_token() {
    let seen = Seen::default();
    let (gateway, verifier) = guarded(None, None, &seen);
    ask(&gateway, "GET /api/a\nauthorization: Bearer true\nx-user-id: 1\nx-user-roles: admin").await;
    ask(&gateway, "GET /open\nauthorization: Bearer true\nx-user-id: 1\nx-user-roles: admin").await;
    let seen = seen.lock().unwrap();
    let header = |index: usize, name: &str| seen[index].0.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(
        (header(0, "x-user-id"), header(0, "x-user-roles"), header(0, "authorization")),
        (Some("7"), Some("user"), None)
    );
    // Nobody verified this one, so it is the service's own business, and nobody is named.
    assert_eq!(
        (header(1, "x-user-id"), header(1, "x-user-roles"), header(1, "authorization")),
        (None, None, Some("Bearer true"))
    );
    assert_eq!(verifier.0.load(Relaxed), 1);
}

#[tokio::test]
async fn a_client_over_its_limit_is_told_when_to_come_back_before_its_token_is_looked_at() {
    let (limit, asked) = Few::new(1);
    let (gateway, verifier) = guarded(Some(limit), None, &Seen::default());
    let first = ask(&gateway, "GET /nowhere").await;
    assert_eq!((first.status().as_u16(), &first.headers()["x-ratelimit-remaining"]), (401, &"0".parse().unwrap()));
    let second = ask(&gateway, "GET /api/a\nauthorization: Bearer true").await;
    assert_eq!(second.status(), 429);
    let header = |name: &str| second.headers()[name].to_str().unwrap();
    assert_eq!((header("retry-after"), header("x-ratelimit-limit")), ("3", "9"));
    assert_eq!((header("x-ratelimit-remaining"), header("x-ratelimit-reset")), ("0", "1700000000"));
    assert_eq!(verifier.0.load(Relaxed), 0);
    assert_eq!(*asked.lock().unwrap(), ["Address(192.0.2.1)", "Address(192.0.2.1)"]);
    let health = ask(&gateway, "GET /health").await;
    assert_eq!((health.status().as_u16(), health.headers().get("x-ratelimit-limit")), (200, None));
}

#[tokio::test]
async fn a_routes_own_limit_counts_subjects_and_the_tighter_one_is_told() {
    let (address, _) = Few::new(100);
    let (own, asked) = Few::new(5);
    let (gateway, _) = guarded(Some(address), Some(own), &Seen::default());
    assert_eq!(ask(&gateway, "POST /api/a\nauthorization: Bearer true").await.status(), 405);
    let answer = ask(&gateway, "GET /api/a\nauthorization: Bearer true").await;
    assert_eq!(answer.headers()["x-ratelimit-remaining"], "4");
    assert_eq!(*asked.lock().unwrap(), [r#"Subject("7")"#]);
}

/// Spellings of `path`: characters encoded, segments doubled, dotted, decorated, in other cases.
fn spellings(path: &str) -> Vec<String> {
    let mut all =
        vec![path.to_owned(), path.to_uppercase(), format!("{path}/"), format!("/{path}"), format!("//x{path}")];
    for suffix in [
        "?",
        "?a=/api/a",
        ";a",
        ";/open",
        "%00",
        "%20",
        "%2f",
        "/.",
        "/..",
        "/%2e%2e",
        "/../open",
        "/..;/open",
        "%3f",
        "\\",
        "%5c",
    ] {
        all.push(format!("{path}{suffix}"));
    }
    for prefix in [
        "/open/..",
        "/open/%2e%2e",
        "/open/..;",
        "/./",
        "/%2e",
        "/open%2f..",
        "/open%2f%2e%2e",
        "/health/..",
        "/health/%2e%2e",
        "\\open\\..",
    ] {
        all.push(format!("{prefix}{path}"));
    }
    for (at, byte) in path.bytes().enumerate() {
        for encoded in [
            format!("%{byte:02x}"),
            format!("%{byte:02X}"),
            format!("%25{byte:02x}"),
            format!("%c0%{:02x}", byte | 0x80),
        ] {
            all.push(format!("{}{encoded}{}", &path[..at], &path[at + 1..]));
        }
        all.push(format!("{}/{}", &path[..at], &path[at..]));
    }
    all
}

#[tokio::test]
async fn no_spelling_of_a_path_reaches_its_service_without_a_token() {
    let (mut asked, mut refused) = (0, 0);
    for path in ["/api/a", "/api/users/7", "/api/open", "/api/health", "/API/a"] {
        for spelling in spellings(path) {
            let Ok(uri) = spelling.parse::<http::Uri>() else { continue }; // it never becomes a request
            for method in ["GET", "HEAD", "POST", "OPTIONS"] {
                let seen = Seen::default();
                let (gateway, verifier) = guarded(None, None, &seen);
                let request = Request::builder().method(method).uri(uri.clone()).header("host", "shop.test");
                let answer = gateway
                    .handle(([192, 0, 2, 1], 9).into(), false, request.body(Full::<Bytes>::default()).unwrap())
                    .await;
                let status = answer.status().as_u16();
                assert!(seen.lock().unwrap().iter().all(|(head, _)| head.uri.path() == "/open"), "{method} {spelling}");
                assert!(matches!(status, 400 | 401), "{method} {spelling}: {status}");
                assert_eq!(verifier.0.load(Relaxed), 0);
                asked += 1;
                refused += u32::from(status == 401);
            }
        }
    }
    assert!(asked > 1000 && refused > 500, "{asked} asked, {refused} of them well-formed");
}

#[tokio::test(start_paused = true)]
async fn what_another_host_says_of_a_call_is_taken_over_and_shortens_its_time() {
    use std::collections::BTreeSet;

    use crate::trust::{Peer, PeerNames, Trust};

    let seen = Seen::default();
    let peer = Peer { services: BTreeSet::from(["service".into()]), keys: None };
    let trust = Some(Arc::new(Trust::new([("front".into(), peer)])));
    let verifier = Access::Token(Arc::new(Nobody));
    let guarded = Entry { access: verifier.clone(), ..entry("/{*rest}", Methods::Any, recording(&seen)) };
    let own = Settings { trust, access: verifier, ..settings() };
    let gateway = Gateway::new(table(vec![guarded]), own);
    let said = "GET /a\nx-user-id: user-7\nx-user-roles: admin\nx-source-service: cart\nx-archipel-hops: 3\n\
                x-archipel-timeout: 1500";
    let asked = |names: &[&str], text: &str| {
        let mut request = request(text);
        let names: Arc<[Arc<str>]> = names.iter().map(|name| Arc::from(*name)).collect();
        request.extensions_mut().insert(PeerNames(names));
        request
    };
    let began = std::time::Instant::now();
    assert_eq!(send(&gateway, asked(&["front"], said)).await.status(), 200);
    assert_eq!(send(&gateway, asked(&["stranger"], said)).await.status(), 401);
    assert_eq!(send(&gateway, request(said)).await.status(), 401);
    let seen = seen.lock().unwrap();
    let [(head, cx)] = &seen[..] else { panic!("{} were let in", seen.len()) };
    assert_eq!((cx.hops, cx.source_service.as_deref()), (3, Some("cart")));
    assert!(cx.deadline.saturating_duration_since(began) < Duration::from_secs(5), "1.5 s of 10 are left");
    for (name, value) in [("x-user-id", "user-7"), ("x-user-roles", "admin"), ("x-source-service", "cart")] {
        assert_eq!(field(&head.headers, name), [value]);
    }
    assert!(head.headers.keys().all(|name| !name.as_str().starts_with("x-archipel-")));
}

/// Accepts no token.
struct Nobody;

impl crate::auth::Verify for Nobody {
    fn verify<'a>(&'a self, _: &'a str) -> crate::auth::Verified<'a> {
        Box::pin(std::future::ready(Err(crate::auth::TokenError::Missing)))
    }
}
