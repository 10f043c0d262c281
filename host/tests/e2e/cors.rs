//! Pages of other origins: what a browser is told by the running host, whoever answers.

use serde_json::json;

use crate::{
    apply::applied,
    harness::{Answer, Held, Host},
};

const APP: (&str, &str) = ("origin", "https://app.example");
const EVIL: (&str, &str) = ("origin", "https://evil.test");
const ASKS: [(&str, &str); 2] =
    [("access-control-request-method", "PUT"), ("access-control-request-headers", "authorization, content-type")];

/// A gateway that asks everybody for a token, but for some paths of the probe.
fn manifest(cors: &str) -> String {
    let public = |path: &str, lines: &str| {
        format!("[[routes]]\npath = \"{path}\"\nservice = \"probe\"\npublic = true\n{lines}\n")
    };
    let routes = [
        public("/echo", "methods = [\"GET\", \"OPTIONS\"]"),
        public("/trap", ""),
        public("/echo-body", ""),
        public("/once", "limit = \"1/h\""),
        public("/sleep", "timeout = \"50ms\""),
        public("/own", "cors = { origins = [\"*\"], methods = [\"GET\"] }"),
        public("/off", "cors = false"),
    ];
    format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nauth = \"main\"\n{cors}\n\
         [auth.main]\nissuer = \"archipel\"\naudience = \"test\"\nkeys = {{ generate = true }}\n\
         [services.probe]\ncomponent = \"COMPONENTS/probe.wasm\"\n\
         limits = {{ concurrency = 1, queue = {{ length = 0, wait = \"1ms\" }} }}\n\
         [[routes]]\npath = \"/api/{{*rest}}\"\nservice = \"probe\"\n{}",
        routes.concat()
    )
}

const RULES: &str = "[cors]\norigins = [\"https://app.example\", \"https://*.example.org\"]\ncredentials = true\n\
                     expose = [\"x-request-id\", \"retry-after\"]";

/// The CORS headers of an answer by name, sorted; those of `Vary` are one.
fn told(answer: &Answer) -> Vec<(String, String)> {
    let is_cors = |name: &str| name == "vary" || name.starts_with("access-control-");
    let mut told: Vec<_> = answer.headers.iter().filter(|(name, _)| is_cors(name)).cloned().collect();
    told.sort();
    told
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What a page of the origin that is admitted may do with any answer.
fn admitted() -> Vec<(String, String)> {
    pairs(&[
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-expose-headers", "x-request-id, retry-after"),
        ("vary", "Origin"),
    ])
}

fn preflight(host: &Host, path: &str, origin: (&'static str, &'static str)) -> Answer {
    host.send("OPTIONS", path, &[&[origin], &ASKS[..]].concat(), b"")
}

#[test]
fn a_preflight_to_a_protected_route_is_answered_before_its_token() {
    let host = Host::running(&manifest(RULES));
    let vary =
        [("vary", "Access-Control-Request-Headers"), ("vary", "Access-Control-Request-Method"), ("vary", "Origin")];
    for path in ["/api/orders", "/nowhere"] {
        let answer = preflight(&host, path, APP);
        assert_eq!((answer.status, answer.header("x-service")), (204, None), "{answer:?}");
        let allowed = [
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "authorization, content-type"),
            ("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE"),
            ("access-control-allow-origin", "https://app.example"),
            ("access-control-max-age", "600"),
        ];
        assert_eq!(told(&answer), pairs(&[&allowed[..], &vary].concat()), "{path}");
        let denied = preflight(&host, path, EVIL);
        assert_eq!((denied.status, told(&denied)), (204, pairs(&vary)), "{path}");
    }
    let under = preflight(&host, "/api/orders", ("origin", "https://a.example.org"));
    assert_eq!(under.header("access-control-allow-origin"), Some("https://a.example.org"));
    // What follows a preflight still needs its token.
    assert_eq!(host.send("PUT", "/api/orders", &[APP], b"").status, 401);
}

/// A path, the headers to ask it with, the status.
type Refused<'a> = (&'a str, &'static [(&'static str, &'static str)], u16);

/// Instead of the token that the host's own requests have.
const NOBODY: &[(&str, &str)] = &[("authorization", "Basic bm9ib2R5")];

#[test]
fn a_page_may_read_every_error_that_its_requests_meet() {
    let host = Host::running(&manifest(RULES)).for_admin();
    assert_eq!(host.get("/once").status, 404);
    let asked: [Refused<'_>; 8] = [
        ("/api/orders", NOBODY, 401),
        ("/nowhere", NOBODY, 401),
        ("/nowhere", &[], 404),
        ("/once", &[], 429),
        ("/sleep?ms=30000", &[], 504),
        ("/trap", &[], 502),
        ("/a//b", &[], 400),
        ("/echo", &[], 200),
    ];
    let check = |(path, headers, status): Refused<'_>| {
        let answer = host.send("GET", path, &[headers, &[APP]].concat(), b"");
        assert_eq!((answer.status, told(&answer)), (status, admitted()), "{path}");
        let denied = host.send("GET", path, &[headers, &[EVIL]].concat(), b"");
        assert_eq!(told(&denied), pairs(&[("vary", "Origin")]), "{path}");
    };
    asked.into_iter().for_each(check);
    let answer = host.send("POST", "/echo", &[APP], b"");
    assert_eq!((answer.status, told(&answer)), (405, admitted()));
    let held = Held::upload(host.gateway);
    check(("/echo", &[], 503));
    drop(held);
}

#[test]
fn options_that_is_no_preflight_reaches_the_service_of_a_route_that_lists_it() {
    let host = Host::running(&manifest(RULES)).for_admin();
    let answer = host.send("OPTIONS", "/echo", &[APP], b"");
    assert_eq!((answer.status, &answer.json()["method"]), (200, &json!("OPTIONS")));
    assert_eq!(told(&answer), admitted());
    assert_eq!(host.send("OPTIONS", "/trap", &[APP], b"").status, 405);
    // Where there are no rules, a service answers preflights itself.
    let without = Host::running(&manifest(""));
    let answer = preflight(&without, "/echo", APP);
    assert_eq!((answer.status, &answer.json()["method"]), (200, &json!("OPTIONS")));
    assert_eq!(told(&answer), []);
    assert_eq!(preflight(&without, "/api/orders", APP).status, 401);
}

#[test]
fn rules_change_with_an_applied_manifest() {
    let host = Host::running(&manifest(""));
    let origin = |path: &str, origin| {
        let answer = host.send("GET", path, &[origin], b"");
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!((origin("/echo", APP), origin("/own", EVIL)), (None, Some("*".into())));
    let apply = |cors: &str| assert_eq!(applied(&host, &manifest(cors))["restart"], json!([]));
    apply(RULES);
    assert_eq!((origin("/echo", APP), origin("/echo", EVIL)), (Some("https://app.example".into()), None));
    assert_eq!((origin("/own", APP), origin("/off", APP)), (Some("*".into()), None));
    apply("[cors]\norigins = [\"https://evil.test\"]");
    assert_eq!((origin("/echo", APP), origin("/echo", EVIL)), (None, Some("https://evil.test".into())));
}
