//! What `[trust]`, and `tls` and `trust` of a service elsewhere, may say.

use super::*;

const ROUTE: &str = "[[routes]]\npath = '/'\nservice = 'a'\npublic = true\n";

#[test]
fn a_service_elsewhere_is_shown_a_token_and_its_certificate_has_a_name() {
    let text = format!(
        "[services.a]\nurl = 'https://10.0.0.7:4000'\ntrust = 'token'\ntls = {{ name = 'Orders' }}\n{ROUTE}\
         [trust.front]\nservices = ['a']\njwks = 'https://front.test/.well-known/trust.json'\n"
    );
    let manifest = loaded(&text, &[]).manifest;
    let settings = &manifest.upstreams["a"];
    assert_eq!((settings.proof, settings.tls.name.as_deref()), (Proof::Token, Some("orders")));
    let trusted = &manifest.trust["front"];
    assert_eq!(trusted.services.iter().map(|name| &**name).collect::<Vec<_>>(), ["a"]);
    assert!(matches!(trusted.keys, Some(KeySettings::Address { .. })));
    let plain =
        format!("[services.a]\nurl = 'http://10.0.0.7:4000'\ntrust = 'none'\n{ROUTE}[trust.b]\nservices = ['a']\n");
    let manifest = loaded(&plain, &[]).manifest;
    assert_eq!((manifest.upstreams["a"].proof, &manifest.trust["b"].keys), (Proof::None, &None));
}

#[test]
fn what_proves_nothing_or_trusts_nobody_is_told() {
    let elsewhere = |lines: &str| format!("[services.a]\nurl = 'http://10.0.0.7:4000'\n{lines}\n{ROUTE}");
    let shows = "shows a certificate; write `https://` in `url`, and `tls = { ca = \"ca.pem\", cert = \"own.pem\", key = \"own.key\" }`";
    check(&elsewhere("trust = 'mtls'"), &[&format!("4:9 services.a.trust: {shows}")]);
    check(
        &elsewhere("tls = { name = 'a' }"),
        &["4:1 services.a.tls: is for `https`; write `https://` in `url`, or remove it"],
    );
    check(
        &elsewhere("tls = { name = 'a:1' }").replace("http:", "https:"),
        &[
            "4:16 services.a.tls.name: `a:1` is no name of DNS; write the one that the certificate has, such as `orders`",
        ],
    );
    check(
        &format!("{}[trust.b]\nservices = ['a', 'c']\nca = 'x'\n", elsewhere("")),
        &[
            "10:12 trust.b.services: there is no service `c`; correct the name, or add `[services.c]`",
            "11:6 trust.b.ca: is only for an address in `jwks`; remove it",
        ],
    );
    check(
        &format!("{}[trust.b]\nservices = ['a']\njwks = 'http://b.test/x'\n", elsewhere("")),
        &[
            "11:8 trust.b.jwks: `http://b.test/x` is not encrypted, so anybody on the way could change the keys; write `https://`",
        ],
    );
}

#[test]
fn a_key_that_each_host_makes_for_itself_is_a_warning_where_hosts_share_a_redis() {
    let text = |redis: &str, store: &str| {
        format!("{redis}{store}[services.a]\nurl = 'http://10.0.0.7:4000'\ntrust = 'token'\n{ROUTE}")
    };
    let warned = |text: &str| {
        let warnings = loaded(text, &[]).warnings;
        warnings.iter().filter(|warning| warning.key == "host.trust_store").count()
    };
    let (shared, store) = ("[redis.main]\nurl = 'redis://db'\n", "[host]\ntrust_store = 'redis.main'\n");
    assert_eq!(warned(&text(shared, "")), 1);
    assert_eq!(warned(&text("[redis.main]\n", "")), 0, "nobody else reaches a private one");
    assert_eq!(warned(&text(shared, "").replace("'token'", "'none'")), 0, "nobody is shown a token");
    assert_eq!(warned(&text(shared, store)), 0);
    let settings = loaded(&text(shared, store), &[]).manifest.host.clone();
    assert_eq!(settings.trust_store.as_deref(), Some("main"));
    check(
        &text(shared, "[host]\ntrust_store = 'redis.mian'\n"),
        &["5:15 host.trust_store: there is no `[redis.mian]`; did you mean `main`?"],
    );
}
