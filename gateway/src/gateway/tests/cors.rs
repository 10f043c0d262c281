//! Pages of other origins: what browsers are told, and by whom.

use http::header::HeaderName;

use super::*;
use crate::{
    auth::{TokenError, Verified, Verify},
    cors::{Cors, Rules, RulesError},
};

const APP: &str = "origin: https://app.example";
const EVIL: &str = "origin: https://evil.test";
const ASKS: &str = "access-control-request-method: PUT\naccess-control-request-headers: content-type, x-own";

struct Nobody;

impl Verify for Nobody {
    fn verify<'a>(&'a self, _token: &'a str) -> Verified<'a> {
        Box::pin(async { Err(TokenError::Refused("unknown")) })
    }
}

fn rules(origins: &[&str]) -> Rules {
    Rules {
        origins: origins.iter().map(|origin| origin.parse().unwrap()).collect(),
        methods: None,
        headers: None,
        expose: Vec::new(),
        credentials: false,
        max_age: Duration::from_secs(600),
    }
}

fn cors(rules: Rules) -> Arc<Cors> {
    Arc::new(Cors::new(rules).unwrap())
}

/// `https://app.example` may use everything, on a gateway that asks everybody for a token.
fn guarded(seen: &Seen, whole: Rules) -> Gateway {
    let access = Access::Token(Arc::new(Nobody));
    let entry = |path, methods: &[&str], cors| Entry {
        cors,
        ..entry(path, Methods::parse(methods.iter().copied()).unwrap(), recording(seen))
    };
    let own = cors(rules(&["https://other.example"]));
    let entries = vec![
        Entry { access: access.clone(), ..entry("/api/{*rest}", &["GET", "PUT"], RouteCors::Gateways) },
        entry("/open", &["GET", "PUT", "OPTIONS"], RouteCors::Gateways),
        entry("/off", &["GET", "OPTIONS"], RouteCors::Off),
        entry("/own", &["GET"], RouteCors::Own(own)),
    ];
    Gateway::new(table(entries), Settings { access, cors: Some(cors(whole)), ..settings() })
}

/// The CORS headers of an answer, sorted, as `name: value`; `Vary` too.
fn told(response: &Response<Body>) -> Vec<String> {
    let is_cors = |name: &HeaderName| name == "vary" || name.as_str().starts_with("access-control-");
    let mut told: Vec<String> = (response.headers().iter())
        .filter(|(name, _)| is_cors(name))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap().to_lowercase()))
        .collect();
    told.sort();
    told
}

async fn ask(gateway: &Gateway, head: &str) -> (u16, Vec<String>) {
    let response = send(gateway, request(head)).await;
    (response.status().as_u16(), told(&response))
}

const VARY: &str = "vary: origin";
const VARY_PREFLIGHT: [&str; 3] = ["vary: access-control-request-headers", "vary: access-control-request-method", VARY];

#[tokio::test]
async fn a_preflight_is_answered_before_any_token_and_reaches_no_service() {
    let seen = Seen::default();
    let mut whole = rules(&["https://app.example", "https://*.example.org"]);
    whole.expose = vec![HeaderName::from_static("x-own")];
    let gateway = guarded(&seen, whole);
    let allowed = [
        "access-control-allow-headers: content-type, x-own",
        "access-control-allow-methods: get, head, post, put, patch, delete",
        "access-control-allow-origin: https://app.example",
        "access-control-max-age: 600",
    ];
    // One that is not there is told like one that is: whoever has no token learns nothing.
    for path in ["/api/a", "/open", "/nowhere"] {
        let (status, told) = ask(&gateway, &format!("OPTIONS {path}\n{APP}\n{ASKS}")).await;
        assert_eq!(status, 204, "{path}");
        assert_eq!(told, [&allowed[..], &VARY_PREFLIGHT].concat(), "{path}");
        let (status, told) = ask(&gateway, &format!("OPTIONS {path}\n{EVIL}\n{ASKS}")).await;
        assert_eq!((status, told), (204, VARY_PREFLIGHT.map(str::to_owned).into()), "{path}");
    }
    let (_, told) = ask(&gateway, &format!("OPTIONS /api/a\norigin: https://a.example.org\n{ASKS}")).await;
    assert!(told.contains(&"access-control-allow-origin: https://a.example.org".to_owned()), "{told:?}");
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(gateway.in_flight(), 0);
}

#[tokio::test]
async fn every_answer_says_who_may_read_it_also_an_error() {
    let seen = Seen::default();
    let mut whole = rules(&["https://app.example"]);
    (whole.credentials, whole.expose) = (true, vec![HeaderName::from_static("x-request-id")]);
    let gateway = guarded(&seen, whole);
    let allowed = [
        "access-control-allow-credentials: true",
        "access-control-allow-origin: https://app.example",
        "access-control-expose-headers: x-request-id",
        VARY,
    ];
    for (head, status) in [
        ("GET /open", 200),
        ("GET /api/a", 401),
        ("POST /open", 401),
        ("GET /nowhere", 401),
        ("GET /a//b", 400),
        ("GET /open\nhost: a b", 400),
    ] {
        assert_eq!(
            ask(&gateway, &format!("{head}\n{APP}")).await,
            (status, allowed.map(str::to_owned).into()),
            "{head}"
        );
        assert_eq!(ask(&gateway, &format!("{head}\n{EVIL}")).await, (status, vec![VARY.to_owned()]), "{head}");
        assert_eq!(ask(&gateway, head).await, (status, vec![VARY.to_owned()]), "{head}");
    }
    // Two origins are none.
    assert_eq!(ask(&gateway, &format!("GET /open\n{APP}\n{APP}")).await.1, [VARY]);
    let _full = [send(&gateway, request("GET /open")).await, send(&gateway, request("GET /open")).await];
    assert_eq!(ask(&gateway, &format!("GET /open\n{APP}")).await, (503, allowed.map(str::to_owned).into()));
    // Also then by the rules of the route: its own, or none.
    let own = ["access-control-allow-origin: https://other.example", VARY].map(str::to_owned);
    assert_eq!(ask(&gateway, "GET /own\norigin: https://other.example").await, (503, own.into()));
    assert_eq!(ask(&gateway, &format!("GET /own\n{APP}")).await, (503, vec![VARY.to_owned()]));
    assert_eq!(ask(&gateway, &format!("GET /off\n{APP}")).await, (503, vec![]));
}

#[tokio::test]
async fn a_route_has_rules_of_its_own_or_none() {
    let seen = Seen::default();
    let gateway = guarded(&seen, rules(&["https://app.example"]));
    let other = "origin: https://other.example";
    let may = |told: &[String]| told.iter().any(|line| line.starts_with("access-control-allow-origin"));
    // Also for a method that it does not take.
    for head in ["GET /own", "POST /own", &format!("OPTIONS /own\n{ASKS}")] {
        assert!(may(&ask(&gateway, &format!("{head}\n{other}")).await.1), "{head}");
        assert!(!may(&ask(&gateway, &format!("{head}\n{APP}")).await.1), "{head}");
    }
    assert_eq!(ask(&gateway, &format!("GET /off\n{APP}")).await, (200, vec![]));
    // Where there are no rules, a service that lists OPTIONS answers preflights itself.
    seen.lock().unwrap().clear();
    assert_eq!(ask(&gateway, &format!("OPTIONS /off\n{APP}\n{ASKS}")).await, (200, vec![]));
    assert_eq!(seen.lock().unwrap().len(), 1);
    // And where there are, it has every OPTIONS that is no preflight.
    assert_eq!(ask(&gateway, &format!("OPTIONS /open\n{APP}")).await.0, 200);
    assert_eq!(ask(&gateway, &format!("OPTIONS /open\n{ASKS}")).await.0, 200);
    assert_eq!(seen.lock().unwrap().len(), 3);
    // One that does not list it has none, and who has no token is not even told so.
    assert_eq!(ask(&gateway, &format!("OPTIONS /own\n{APP}")).await.0, 401);
}

#[tokio::test]
async fn what_a_service_says_of_cors_gives_way_and_its_vary_stays() {
    let says = |_request| {
        let answer = Response::builder().header("access-control-allow-origin", "*").header("vary", "accept, ORIGIN");
        Ok(answer.body(body::full("hello")).unwrap())
    };
    let with =
        |cors| Gateway::new(table(vec![entry("/", Methods::Any, service(says))]), Settings { cors, ..settings() });
    let gateway = with(Some(cors(rules(&["https://app.example"]))));
    assert_eq!(
        ask(&gateway, &format!("GET /\n{APP}")).await.1,
        ["access-control-allow-origin: https://app.example", "vary: accept, origin"]
    );
    assert_eq!(ask(&gateway, &format!("GET /\n{EVIL}")).await.1, ["vary: accept, origin"]);
    // Without rules it is the service's own business.
    assert_eq!(
        ask(&with(None), &format!("GET /\n{EVIL}")).await.1,
        ["access-control-allow-origin: *", "vary: accept, origin"]
    );
}

#[tokio::test]
async fn lists_of_methods_and_headers_are_told_as_they_were_written() {
    let mut whole = rules(&["*"]);
    whole.methods = Some(vec![Method::GET, Method::PUT]);
    whole.headers = Some(vec![HeaderName::from_static("content-type")]);
    let gateway = guarded(&Seen::default(), whole);
    let (_, told) = ask(&gateway, &format!("OPTIONS /api/a\n{EVIL}\n{ASKS}")).await;
    let expected = [
        "access-control-allow-headers: content-type",
        "access-control-allow-methods: get, put",
        "access-control-allow-origin: *",
        "access-control-max-age: 600",
    ];
    assert_eq!(told, [&expected[..], &VARY_PREFLIGHT].concat());
    // What is told back is a list of names, and a short one.
    let gateway = guarded(&Seen::default(), rules(&["*"]));
    for wanted in ["a b", "x;y", "a,,b", &"a".repeat(1025)] {
        let head = format!(
            "OPTIONS /api/a\n{EVIL}\naccess-control-request-method: PUT\naccess-control-request-headers: {wanted}"
        );
        let (_, told) = ask(&gateway, &head).await;
        assert!(told.iter().all(|line| !line.starts_with("access-control-allow-headers")), "{told:?}");
    }
}

#[test]
fn rules_that_would_open_everything_or_nothing_are_refused() {
    assert_eq!(Cors::new(rules(&[])), Err(RulesError::NoOrigins));
    let all = Rules { credentials: true, ..rules(&["https://app.example", "*"]) };
    assert_eq!(Cors::new(all), Err(RulesError::CredentialsForAll));
}

#[tokio::test]
async fn a_browser_on_a_socket_gets_its_preflight() {
    let served = socket::Served::new(guarded(&Seen::default(), rules(&["https://app.example"])));
    let head = "OPTIONS /api/a HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\nConnection: close\r\n\r\n";
    let answer = served.exchange(head).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert!(answer.contains("access-control-allow-origin: https://app.example\r\n"), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
}
