//! What a manifest may say of limits, proxies, Redis and gathered answers.

use ::gateway::limit::Rate;

use super::*;

#[test]
fn limits_are_rates_and_only_the_gateways_can_be_off() {
    let rate = |text: &str| text.parse::<Rate>().unwrap();
    let gateway = |lines: &str| loaded(&format!("[gateway]\n{lines}\n[redis.main]\n"), &[]).manifest.gateway;
    assert_eq!((gateway("").limit, gateway("").limit_store), (Some(rate("100/min")), None));
    assert_eq!(gateway("limit = 'off'").limit, None);
    assert_eq!(gateway("limit = '5/s'\nlimit_store = 'redis.main'").limit_store.as_deref(), Some("main"));
    let rest = format!("[redis.main]\n{SERVICE}[[routes]]\npath = '/'\npublic = true\nservice = 'a'\nlimit = 'off'\n");
    check(
        &format!("[gateway]\nlimit = '100'\nlimit_store = 'redis.mian'\n{rest}"),
        &[
            "3:9 gateway.limit: `100` is no rate; write a number and `/s`, `/min` or `/h`, such as `100/min`, or `off`",
            "4:15 gateway.limit_store: there is no `[redis.mian]`; did you mean `main`?",
            "12:9 routes[0].limit: `off` is no rate; write a number and `/s`, `/min` or `/h`, such as `100/min`",
        ],
    );
    check(
        "[gateway]\nlimit_store = 'main'\n",
        &["3:15 gateway.limit_store: `main` is no store of limits; write `redis.NAME`, or remove it"],
    );
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    let proxies = |list: &str| loaded(&format!("[gateway]\ntrusted_proxies = {list}\n"), &[]);
    let written = proxies("['10.0.0.0/8', '::1', '192.0.2.7']").manifest.gateway.trusted_proxies;
    assert_eq!(written.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128", "192.0.2.7/32"]);
    let warnings = proxies("['0.0.0.0/0']").warnings;
    assert!(warnings[0].message.contains("trusts everybody"), "{warnings:?}");
    check(
        "[gateway]\ntrusted_proxies = ['proxy.test', '::ffff:10.0.0.0/104']\n",
        &[
            "3:20 gateway.trusted_proxies[0]: `proxy.test` is no network; write it like `10.0.0.0/8` or `::1`",
            "3:34 gateway.trusted_proxies[1]: `::ffff:10.0.0.0/104` is an IPv4 network in the words of IPv6; \
             write it like `10.0.0.0/8`",
        ],
    );
}

#[test]
fn a_redis_is_embedded_or_has_a_url_that_is_never_shown() {
    let text = "[redis.a]\n[redis.b]\nurl = { env = 'B', optional = true }\n[redis.c]\nurl = 'rediss://c.test'\n";
    let is_embedded = |loaded: &Loaded, name: &str| matches!(loaded.manifest.redis[name].place, RedisPlace::Embedded);
    let without = loaded(text, &[]);
    assert_eq!(["a", "b", "c"].map(|name| is_embedded(&without, name)), [true, true, false]);
    let with = loaded(text, &[("B", "redis://:canary@b.test/0")]);
    assert!(!is_embedded(&with, "b") && !format!("{:?}", with.manifest).contains("canary"));
    check(
        "[redis.a]\nurl = 'http://:canary@a.test'\n[redis.B]\n",
        &[
            "3:7 redis.a.url: is not the URL of a Redis server; write it like `redis://USER:PASSWORD@HOST:PORT/0`, \
             or `rediss://` for TLS",
            "4:8 redis.B: `B` cannot be a name, write `b`; names are up to 63 lower-case letters, digits and `-`, a letter first",
        ],
    );
    let many: String = (0..17).map(|number| format!("[redis.n{number}]\n")).collect();
    check(
        &many,
        &["2:2 redis: 17 names are without a `url`, and the private server has 16 databases; \
           let some share a name, or give them a `url`"],
    );
}

fn route(lines: &str) -> String {
    format!("{SERVICE}[[routes]]\npath = '/g/{{id}}/{{*rest}}'\npublic = true\n{lines}\n")
}

#[test]
fn a_gathering_route_says_whom_to_ask_and_what_stands_for_a_missing_part() {
    let parts = "gather = { user = 'a:/u/{id}', rest = { from = 'a:/o?u={id}', default = [1, 2.5, { x = 'é' }] } }";
    let manifest = loaded(&route(parts), &[]).manifest;
    assert!(manifest.routes[0].route.to_string().contains("GET"), "{}", manifest.routes[0].route);
    let Target::Gather(parts) = &manifest.routes[0].target else { panic!("{:?}", manifest.routes[0].target) };
    let named: Vec<_> = parts.iter().map(|part| (part.name.as_str(), part.default.clone())).collect();
    assert_eq!(named, [("rest", Some(serde_json::json!([1, 2.5, { "x": "é" }]))), ("user", None)]);
    check(
        &route(
            "methods = ['GET', 'POST']\ngather = { partial = 'a:/', x = 'a:/{ID}', y = 'a/b', z = 'c:/', w = 'a:/{rest}', v = 'a:b' }",
        ),
        &[
            "7:11 routes[0].methods: a gathered answer is only read; write `[\"GET\"]`",
            "8:22 routes[0].gather.partial: `partial` names the parts that are missing; choose another name",
            "8:33 routes[0].gather.x: `{ID}` is no parameter of `/g/{id}/{*rest}`; its parameters are `{id}`, `{rest}`",
            "8:48 routes[0].gather.y: `a/b` names no service; write `SERVICE:/path`",
            "8:59 routes[0].gather.z: there is no service `c`; did you mean `a`?",
            "8:70 routes[0].gather.w: `{rest}` may be several segments, which cannot be put in; write a route with `{name}` segments",
            "8:87 routes[0].gather.v: `b` is no path as services receive them; write it like `/api/users/{id}`",
        ],
    );
}

#[test]
fn a_route_leads_to_exactly_one_thing() {
    check(&route(""), &["4:1 routes[0].service: is missing; add `service = \"NAME\"`"]);
    check(
        &route("service = 'a'\nstatic = 404"),
        &["8:10 routes[0].static: stands beside `service`; a route leads to one of them"],
    );
    check(
        &route("static = 200"),
        &["7:10 routes[0].static: 200 is no status for a static answer; write 403, 404, 410, 451 or 503"],
    );
    let fixed = loaded(&route("static = 404"), &[]).manifest;
    assert!(matches!(fixed.routes[0].target, Target::Static(status) if status == 404));
}
