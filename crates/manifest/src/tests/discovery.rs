//! What `[discovery]` and `discover` may say.

use super::*;

const FOUND: &str =
    "[services.a]\nurl = { discover = 'consul:orders' }\n[[routes]]\npath = '/'\nservice = 'a'\npublic = true\n";

#[test]
fn a_service_is_found_by_its_name_at_an_agent_of_consul() {
    let text = format!(
        "{FOUND}[discovery.consul]\nurl = 'http://127.0.0.1:8500'\ntoken = {{ env = 'TOKEN' }}\ndatacenter = 'dc1'\n\
         address = '10.0.0.5:3000'\ntags = ['blue']\n"
    );
    let manifest = loaded(&text, &[("TOKEN", "s3cret")]).manifest;
    let consul = manifest.consul.clone().unwrap();
    assert!(consul.register);
    assert_eq!((consul.token.as_ref().unwrap().reveal(), consul.address.as_ref().unwrap().1), ("s3cret", 3000));
    assert!(!format!("{consul:?}").contains("s3cret"));
    let settings = &manifest.upstreams["a"];
    assert_eq!(settings.places(), ["consul:orders"]);
    assert_eq!(settings.at, Whereabouts::Consul { name: "orders".into(), agent: consul });
    assert!(manifest.reserved.contains("TOKEN"), "no service is granted it");
}

#[test]
fn what_cannot_be_found_or_asked_is_told() {
    let key = "services.a.url.discover";
    check(
        FOUND,
        &[&format!(
            "3:20 {key}: needs somebody to ask; add `[discovery.consul]` with `url = \"http://127.0.0.1:8500\"`"
        )],
    );
    let agent = "[discovery.consul]\nurl = 'http://127.0.0.1:8500'\n";
    let of = |discover: &str| format!("{}{agent}", FOUND.replace("consul:orders", discover));
    check(
        &of("dns:orders"),
        &[&format!("3:20 {key}: `dns:orders` is no way to find a service; write it like `consul:orders`")],
    );
    check(
        &of("consul:a/b"),
        &[&format!("3:20 {key}: `a/b` is no name in Consul; write up to 128 letters, digits, `-`, `_` and `.`")],
    );
    check("[discovery.consul]\n", &["2:12 discovery.consul.url: is missing; add `url = \"http://127.0.0.1:8500\"`"]);
    check(
        "[discovery.consul]\nurl = 'http://127.0.0.1:8500'\naddress = '0.0.0.0:3000'\n",
        &["4:11 discovery.consul.address: `0.0.0.0:3000` is no address with a port; write it like `10.0.0.5:3000`"],
    );
    check(
        "[gateway]\nlisten = '0.0.0.0:3000'\n[discovery.consul]\nurl = 'http://127.0.0.1:8500'\n",
        &[
            "4:12 discovery.consul.address: is missing: `gateway.listen` is every address of this machine; write the one by which others reach it, or `register = false`",
        ],
    );
}
