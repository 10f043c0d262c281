//! What `permissions.net` and `permissions.call` may say.

use super::*;

#[test]
fn a_callee_must_be_there_and_its_requests_must_be_requests() {
    let key = "services.a.permissions.call";
    let permissions = |written: &str| format!("{SERVICE}permissions = {{ call = {written} }}\n");
    check(&permissions("['a']"), &[]);
    check(&permissions("{ a = ['POST /api/*/x'] }"), &[]);
    check(&permissions("['aa']"), &[&format!("4:24 {key}: there is no service `aa`; did you mean `a`?")]);
    check(
        &permissions("['elsewhere']"),
        &[&format!("4:24 {key}: there is no service `elsewhere`; add it, or remove this permission")],
    );
    check(
        &permissions("{ a = ['/api'] }"),
        &[&format!(
            "4:31 {key}.a[0]: `/api` is no request; write a method and a path, like `POST /api/products/*/reserve`"
        )],
    );
    check(
        &permissions("{ a = [] }"),
        &[&format!("4:30 {key}.a: allows no request; write some, like `[\"GET /api/*\"]`, or remove it")],
    );
}

#[test]
fn an_entry_of_net_is_a_place_and_everything_needs_the_hosts_consent() {
    let key = "services.a.permissions.net";
    let permissions = |written: &str| format!("{SERVICE}permissions = {{ net = {written} }}\n");
    check(&permissions("{ allow = ['*.a.example:443'], deny = ['b.a.example'] }"), &[]);
    check(&permissions("false"), &[]);
    check(
        &permissions("['*', 'https://a.example/v1']"),
        &[
            &format!("4:24 {key}[0]: `*` names every host; name hosts, or a domain like `*.example.com`"),
            &format!(
                "4:29 {key}[1]: `https://a.example/v1` has a path, which `net` does not look at; write `https://a.example`"
            ),
        ],
    );
    check(
        &permissions("true"),
        &[&format!(
            "4:23 {key}: would reach everything; name hosts, like `[\"api.example.com:443\"]`, or for development set `allow_unrestricted = true` in `[host]`"
        )],
    );
    let consent = format!("[host]\nallow_unrestricted = true\n{}", permissions("true"));
    assert!(loaded(&consent, &[]).warnings.iter().any(|warning| warning.to_string().contains("reaches everything")));
    let portless = loaded(&permissions("['a.example']"), &[]).warnings;
    assert!(portless.iter().any(|warning| warning.to_string().contains("every port")), "{portless:?}");
}
