//! What `[gateway]`, `[admin]` and `[[routes]]` may say.

use super::*;

#[test]
fn a_route_is_never_open_by_accident() {
    let expected = "nobody is asked for a token here, so anybody could call this route; \
                    set `gateway.auth`, name an `auth`, or say so with `public = true`";
    let route = format!("{SERVICE}[[routes]]\npath = '/'\nservice = 'a'\n");
    check(&route, &[&format!("4:1 routes[0].public: {expected}")]);
    check(&format!("{route}public = false\n"), &[&format!("7:10 routes[0].public: {expected}")]);
    check(
        &format!("{route}public = 'yes'\n"),
        &["7:10 routes[0].public: is a text; it must be true or false, such as `false`"],
    );
    check(&format!("{route}public = true\n"), &[]);
}

#[test]
fn addresses_are_loopback_for_admin_and_never_taken_twice() {
    check(
        "[gateway]\nlisten = 'localhost:80'\n",
        &["3:10 gateway.listen: `localhost:80` is no address; write an IP address and a port, such as `127.0.0.1:80`"],
    );
    check(
        "[gateway]\nlisten = ['0.0.0.0:80', '127.0.0.1:80']\n",
        &["3:25 gateway.listen[1]: `127.0.0.1:80` is already taken by `0.0.0.0:80`; remove one"],
    );
    check("[gateway]\nlisten = []\n", &["3:10 gateway.listen: is empty; name an address, such as `127.0.0.1:3000`"]);
    check(
        "[admin]\nlisten = '0.0.0.0:3000'\n",
        &[
            "3:10 admin.listen: `0.0.0.0:3000` is not loopback; say who may with `[admin.tokens.NAME]`, or write `127.0.0.1:3000`",
            "3:10 admin.listen: `0.0.0.0:3000` is already taken by `127.0.0.1:3000` of `gateway.listen`; choose another port",
        ],
    );
    check("[gateway]\nlisten = ['127.0.0.1:0', '127.0.0.1:0']\n[admin]\nlisten = '[::1]:0'\n", &[]);
    check(
        "[gateway]\nhosts = ['Shop.Test:80', 'https://shop.test/a', '*.shop.test', 'a b']\n",
        &[
            "3:26 gateway.hosts[1]: `https://shop.test/a` is a URL; write only its host, `shop.test`",
            "3:49 gateway.hosts[2]: `*.shop.test` has a wildcard, but a gateway knows its own names; \
         write a host such as `shop.example.com` or `shop.example.com:8443`",
            "3:64 gateway.hosts[3]: `a b` is no host; write a host such as `shop.example.com` or `shop.example.com:8443`",
        ],
    );
}

#[test]
fn addresses_come_from_the_environment_where_the_manifest_says_so() {
    let text = "[gateway]\nlisten = { env = 'L', optional = true }\n[admin]\nlisten = { env = 'A', optional = true }\n";
    let listening = |env: &[(&str, &str)]| {
        let Manifest { gateway, admin, .. } = loaded(text, env).manifest;
        let gateway: Vec<_> = gateway.listen.iter().map(ToString::to_string).collect();
        (gateway.join(" "), admin.listen.to_string())
    };
    assert_eq!(listening(&[]), ("127.0.0.1:3000".into(), "127.0.0.1:3900".into()));
    let env = [("L", "0.0.0.0:80, [::]:80"), ("A", "[::1]:81")];
    assert_eq!(listening(&env), ("0.0.0.0:80 [::]:80".into(), "[::1]:81".into()));
    check(
        "[gateway]\nlisten = { env = 'L' }\n",
        &["3:1 gateway.listen: the variable `L` is not set; set it, or add `optional = true`"],
    );
    let folder = tempfile::tempdir().unwrap();
    let wrong = load(folder.path(), &format!("name = 'shop'\n{text}"), &[("L", "localhost:80")]).unwrap_err();
    assert!(wrong.to_string().contains("gateway.listen: `localhost:80` is no address"), "{wrong}");
}

#[test]
fn routes_are_right_alone_and_together() {
    let route = |line: &str| format!("{SERVICE}[[routes]]\npublic = true\nservice = 'a'\n{line}\n");
    check(
        &route("path = '/'\nmethods = ['get', 'PUT', 'TRACE']"),
        &[
            "8:12 routes[0].methods[0]: `get` is no method; methods are written in capitals, such as `GET`",
            "8:26 routes[0].methods[2]: `TRACE` is never forwarded; remove it",
        ],
    );
    check(&route("path = '/'\nmethods = ['GET', 'GET']"), &["8:11 routes[0].methods: `GET` stands twice; remove one"]);
    check(
        &route("path = '/'\ntimeout = '0s'\nbody_limit = '2TiB'"),
        &[
            "8:11 routes[0].timeout: timeout is 0s; it must be 1ms to 5m",
            "9:14 routes[0].body_limit: `TiB` is not a unit here; write `2MiB` (units are B, KiB, MiB, GiB)",
        ],
    );
    check(&route("path = 'a'"), &["7:8 routes[0].path: `a` does not begin with `/`"]);
    check(
        &route("path = '/'\nhost = '*'"),
        &["8:8 routes[0].host: `*` has `*` in it; it may only stand alone in front, as in `*.example.com`"],
    );
    let two = format!("{}[[routes]]\npublic = true\nservice = 'a'\npath = '/b/{{y}}'\n", route("path = '/b/{x}'"));
    check(
        &two,
        &[
            "8:1 routes[1]: takes the same requests as `routes[0]` at shop.toml:4:1: /b/{x}; remove one, or give them different `methods`",
        ],
    );
}

#[test]
fn numbers_may_be_written_in_every_way_of_toml() {
    for number in ["1000", "1_000", "+1000", "0x3e8"] {
        let gateway = loaded(&format!("[gateway]\nrequests_max = {number}\n"), &[]).manifest.gateway;
        assert_eq!(gateway.requests_max.get(), 1000, "{number}");
    }
}

#[test]
fn files_of_a_certificate_must_work_together() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = [0, 1].map(|_| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    for (name, text) in [
        ("cert.pem", one.cert.pem()),
        ("key.pem", one.signing_key.serialize_pem()),
        ("other.pem", other.signing_key.serialize_pem()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let problems = |cert: &str, key: &str| -> Vec<String> {
        let text = format!("name = 's'\n[gateway]\ntls = {{ cert = '{cert}.pem', key = '{key}.pem' }}\n{SERVICE}");
        match load(folder.path(), &text, &[]) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    };
    assert_eq!(problems("cert", "key"), Vec::<String>::new());
    for (cert, key, place, says) in [
        ("cert", "other", "3:34 gateway.tls.key: ", "do not work together"),
        ("cert", "cert", "3:34 gateway.tls.key: ", "cannot read a private key"),
        ("key", "key", "3:16 gateway.tls.cert: ", "holds no certificate"),
        ("cert", "none", "3:34 gateway.tls.key: ", "cannot read"),
    ] {
        let found = problems(cert, key);
        assert!(found.len() == 1 && found[0].contains(place) && found[0].contains(says), "{cert}, {key}: {found:?}");
    }
}
