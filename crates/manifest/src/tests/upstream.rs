//! What `[services.NAME]` may say of a service that runs elsewhere.

use super::*;

fn upstream(lines: &str) -> String {
    format!("[services.a]\n{lines}\n[[routes]]\npath = '/'\nservice = 'a'\npublic = true\n")
}

#[test]
fn a_url_takes_the_place_of_a_component() {
    let manifest = loaded(&upstream("url = 'http://127.0.0.1:4000'"), &[]).manifest;
    assert!(manifest.services.is_empty());
    let settings = &manifest.upstreams["a"];
    assert_eq!(settings.places(), ["http://127.0.0.1:4000"]);
    assert_eq!(
        (settings.limits.timeout.as_secs(), settings.limits.concurrency.get(), settings.pool.idle.as_secs()),
        (5, 256, 4)
    );
    assert_eq!(settings.health, None);
    let more = "url = ['http://a.test', 'https://[::1]:8443/']\nhealth = { path = '/h', interval = '1s' }\npool = { connections_max = 2, idle = '30s' }\nlimits = { timeout = '1s', concurrency = 3, queue = { length = 0 } }";
    let manifest = loaded(&upstream(more), &[]).manifest;
    let settings = &manifest.upstreams["a"];
    assert_eq!(settings.places(), ["http://a.test", "https://[::1]:8443"]);
    assert_eq!(settings.health, Some(HealthCheck { path: "/h".into(), interval: Duration::from_secs(1) }));
    assert_eq!((settings.pool.connections_max.get(), settings.limits.queue_length), (2, 0));
}

#[test]
fn a_url_is_an_address_and_nothing_else() {
    let key = "services.a.url";
    let like = "write it like `http://10.0.0.7:4000`";
    for (written, told) in [
        ("10.0.0.7:4000", "is no URL"),
        ("ftp://a.test", "is neither `http` nor `https`"),
        ("http://a.test/api", "has a path, and requests keep their own"),
        ("http://u:p@a.test", "is no address: it has a user name, which no address has"),
        ("http://a.test:0", "is no address: `0` is no port"),
        ("http://0.0.0.0:1", "is an address that nobody can be asked at"),
        ("http://users.internal", "is the name of a service of this host, which has no address"),
    ] {
        check(&upstream(&format!("url = '{written}'")), &[&format!("3:7 {key}: `{written}` {told}; {like}")]);
    }
    check(
        &upstream("url = ['http://a.test', 'http://A.test:80']"),
        &[&format!("3:25 {key}[1]: `http://A.test:80` is there twice; remove one")],
    );
    check(
        &upstream("url = []"),
        &[&format!("3:7 {key}: has 0 addresses; write 1 to 100, such as `http://10.0.0.7:4000`")],
    );
}

#[test]
fn what_only_a_component_has_is_refused_beside_a_url_and_the_other_way_round() {
    let elsewhere = "url = 'http://a.test'\n";
    let built = "is for components; what runs elsewhere is built and replaced there";
    check(&upstream(&format!("{elsewhere}build = 'make'")), &[&format!("4:9 services.a.build: {built}")]);
    check(
        &upstream(&format!("{elsewhere}component = 'a.wasm'")),
        &["4:13 services.a.component: is a component, and `url` says that it runs elsewhere; remove one of the two"],
    );
    check(
        &upstream(&format!("{elsewhere}limits = {{ memory = '1MiB' }}")),
        &[
            "4:21 services.a.limits.memory: is for components; the host bounds of another process only time and requests at once",
        ],
    );
    check(
        &upstream(&format!("{elsewhere}permissions = {{ call = ['a'] }}")),
        &["4:1 services.a.permissions: is for components; the host cannot bound what another process reaches"],
    );
    check(
        &format!("{SERVICE}pool = {{}}\nhealth = {{ path = '/', interval = '1s' }}\n"),
        &[
            "4:1 services.a.pool: is for services with a `url`; a component is called without a connection",
            "5:35 services.a.health.interval: is for services with a `url`; a component is asked when a probe asks",
        ],
    );
}

#[test]
fn a_component_may_call_it_and_a_route_lead_to_it_by_its_name() {
    let text =
        "[services.a]\nurl = 'http://a.test'\n[services.b]\ncomponent = 'b.wasm'\npermissions = { call = ['a'] }\n";
    check(text, &[]);
    assert!(loaded(text, &[]).warnings.iter().all(|warning| warning.key != "services.a"), "it is called");
}

#[test]
fn a_ceiling_bounds_where_services_elsewhere_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ceiling.toml");
    fs::write(&file, "[ceiling]\nnet = ['10.0.0.0/8:4000']\n").unwrap();
    let ceiling = load_ceiling(&file).unwrap();
    let within = |url: &str| loaded(&upstream(&format!("url = '{url}'")), &[]).under(Some(&ceiling));
    assert!(within("http://10.0.0.7:4000").is_ok());
    let refused = within("http://169.254.169.254").unwrap_err().to_string();
    assert!(refused.contains("services.a.url") && refused.contains("does not allow to dial"), "{refused}");
}

#[test]
fn only_the_answer_of_one_service_is_a_stream() {
    let route = |lines: &str| {
        format!("{SERVICE}[[routes]]\npath = '/'\nmethods = ['GET']\npublic = true\n{lines}\nstream = true\n")
    };
    assert!(loaded(&route("service = 'a'"), &[]).manifest.routes[0].route.stream.is_some());
    let told = "9:10 routes[0].stream: is for the answers of one service; remove it, or name a `service`";
    check(&route("static = 404"), &[told]);
    check(&route("gather = { one = 'a:/' }"), &[told]);
}
