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
fn builds_of_other_hosts_are_asked_for_by_a_token_that_may_read() {
    let of = |take: &str, may: &str| {
        format!(
            "[discovery.consul]\nurl = 'http://127.0.0.1:8500'\ntake_builds = {take}\n\
             [admin.tokens.ops]\nenv = 'OPS'\nmay = {may}\n"
        )
    };
    let env = [("OPS", "a-token-of-all-hosts")];
    let consul = loaded(&of("{ token = 'ops' }", "['read']"), &env).manifest.consul.clone().unwrap();
    let take = consul.take_builds.as_ref().unwrap();
    assert_eq!((take.token.reveal(), &take.ca), ("a-token-of-all-hosts", &None));
    assert!(!format!("{consul:?}").contains("a-token-of-all-hosts"));
    let refused = |text: &str, says: &str| {
        let folder = tempfile::tempdir().unwrap();
        let Err(problems) = load(folder.path(), &format!("name = \"shop\"\n{text}"), &env) else {
            panic!("right: {text}")
        };
        assert!(problems.to_string().contains(says), "no `{says}` in {problems}");
    };
    refused(&of("{ token = 'ops' }", "['swap']"), "take_builds.token: `ops` may not `read`");
    refused(&of("{ token = 'none' }", "['read']"), "take_builds.token: there is no `[admin.tokens.none]`");
    refused(&of("{}", "['read']"), "take_builds.token: is missing");
    refused(&of("{ token = 'ops', ca = 'none.pem' }", "['read']"), "take_builds.ca: cannot read");
}

#[test]
fn a_service_is_found_by_a_name_of_dns_with_or_without_servers_of_its_own() {
    let of = |discover: &str, table: &str| loaded(&format!("{}{table}", FOUND.replace("consul:orders", discover)), &[]);
    let manifest = of("dns:Orders.test.:4000", "[discovery.dns]\nservers = ['10.0.0.1:53']\nttl_max = '5s'\n").manifest;
    let question = DnsQuestion::Hosts { name: "orders.test.".into(), port: 4000 };
    let by = DnsSettings { servers: vec!["10.0.0.1:53".parse().unwrap()], ttl_max: Duration::from_secs(5) };
    assert_eq!(manifest.upstreams["a"].at, Whereabouts::Dns { question, by });
    assert_eq!(manifest.upstreams["a"].places(), ["dns:orders.test.:4000"]);
    let manifest = of("srv:_http._tcp.orders", "").manifest;
    let by = DnsSettings { servers: Vec::new(), ttl_max: Duration::from_secs(30) };
    let question = DnsQuestion::Services { name: "_http._tcp.orders".into() };
    assert_eq!(question.dialled(), "orders");
    assert_eq!(manifest.upstreams["a"].at, Whereabouts::Dns { question, by });
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
        &of("etcd:orders"),
        &[&format!(
            "3:20 {key}: `etcd:orders` is no way to find a service; write it like `consul:orders`, `dns:orders.internal.example:4000` or `srv:_http._tcp.orders`"
        )],
    );
    check(
        &of("dns:orders"),
        &[&format!("3:20 {key}: `orders` is no name with a port; write it like `dns:orders.internal.example:4000`")],
    );
    check(
        &of("srv:a b"),
        &[&format!("3:20 {key}: `a b` is no name of DNS; write one such as `orders.internal.example`")],
    );
    check(
        &of("dns:10.0.0.7:4000"),
        &[&format!("3:20 {key}: `10.0.0.7` is no name of DNS; write one such as `orders.internal.example`")],
    );
    check(
        "[discovery.dns]\nservers = ['10.0.0.1', '[::1]:53']\n",
        &["3:12 discovery.dns.servers[0]: `10.0.0.1` is no address with a port; write it like `10.96.0.10:53`"],
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
