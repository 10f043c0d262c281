//! Trust between hosts: whose word is believed about who calls, by certificates and by tokens.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use tokio_rustls::rustls::{self, ClientConnection, StreamOwned};

use crate::harness::{
    Command, Host, Redis, Upstream, free, place, until,
    upstream::{Act, ok, quoted},
};

/// An authority and whom it vouches for.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Own {
    chain: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut wanted = CertificateParams::new(Vec::new()).unwrap();
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = wanted.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(wanted, key) }
    }

    /// For a name of DNS or a `spiffe://` URI; `ended`: it has expired.
    fn vouches_for(&self, name: &str, ended: bool) -> Own {
        let mut wanted = CertificateParams::new(Vec::new()).unwrap();
        wanted.subject_alt_names.push(match name.contains("://") {
            true => SanType::URI(name.try_into().unwrap()),
            false => SanType::DnsName(name.try_into().unwrap()),
        });
        if ended {
            wanted.not_before = rcgen::date_time_ymd(2020, 1, 1);
            wanted.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let chain = wanted.signed_by(&key, &self.issuer).unwrap().pem();
        Own { chain, key: key.serialize_pem() }
    }
}

impl Own {
    fn write(&self, folder: &Path, name: &str) {
        fs::write(folder.join(format!("{name}.key")), &self.key).unwrap();
        fs::write(folder.join(format!("{name}.pem")), &self.chain).unwrap();
    }
}

const ISSUER: &str = "[auth.main]\nissuer = \"a\"\naudience = \"b\"\nkeys = { generate = true }\n";

/// The probe behind a token of this host's own issuer.
fn guarded() -> String {
    format!(
        "{ISSUER}[services.probe]\ncomponent = \"COMPONENTS/probe.wasm\"\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"probe\"\nauth = \"main\"\n"
    )
}

/// What a guest saw of a header, by its `/echo`.
fn seen<'a>(echo: &'a Value, name: &str) -> Option<&'a str> {
    let fields = echo["headers"].as_array().unwrap_or_else(|| panic!("no echo: {echo}"));
    fields.iter().find(|field| field[0] == name).and_then(|field| field[1].as_str())
}

/// One request over TLS, with a certificate or without; none: there was no connection.
fn secured(to: SocketAddr, authority: &Authority, own: Option<&Own>, headers: &str) -> Option<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_slice(own.chain.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let tcp = TcpStream::connect(to).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let tls = ClientConnection::new(Arc::new(config), ServerName::try_from("probe").unwrap()).unwrap();
    let mut stream = StreamOwned::new(tls, tcp);
    let request = format!("GET /echo HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn by_certificates_a_call_keeps_its_identity_and_nobody_else_is_believed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (behind, before) = (place(), place());
    fs::write(behind.path().join("ca.pem"), &authority.pem).unwrap();
    fs::write(before.path().join("ca.pem"), &authority.pem).unwrap();
    authority.vouches_for("probe", false).write(behind.path(), "server");
    authority.vouches_for("spiffe://shop.example/front", false).write(before.path(), "own");
    let tls = "tls = { cert = \"server.pem\", key = \"server.key\", client_ca = \"ca.pem\" }";
    let trust = "[trust.front]\nservices = [\"probe\"]\n";
    let back = Host::running_in(behind, &format!("[gateway]\nlisten = \"127.0.0.1:0\"\n{tls}\n{trust}{}", guarded()));
    let elsewhere = |name: &str, more: &str| {
        format!(
            "[services.{name}]\nurl = \"https://{}\"\ntrust = \"mtls\"\npool = {{ idle = \"1s\" }}\n\
             tls = {{ ca = \"ca.pem\", cert = \"own.pem\", key = \"own.key\"{more} }}\n",
            back.gateway
        )
    };
    let front = Host::running_in(
        before,
        &format!(
            "{ISSUER}{}{}\
             [[routes]]\npath = \"/{{*rest}}\"\nservice = \"probe\"\nauth = \"main\"\n\
             [[routes]]\npath = \"/wrong\"\nservice = \"wrong\"\npublic = true\n",
            elsewhere("probe", ""),
            elsewhere("wrong", ", name = \"other\""),
        ),
    );
    let token = format!("Bearer {}", front.token("user-7", &["admin", "buyer"]));
    let as_user = [("authorization", &*token), ("x-user-roles", "forged"), ("x-archipel-hops", "7")];
    let echo = front.send("GET", "/echo", &as_user, b"");
    assert_eq!(echo.status, 200, "{}", echo.text());
    let told = echo.json();
    assert_eq!((seen(&told, "x-user-id"), seen(&told, "x-user-roles")), (Some("user-7"), Some("admin,buyer")));
    assert_eq!(seen(&told, "x-source-service"), None, "a gateway called");
    assert!(!told.to_string().contains("x-archipel-"), "{told}");
    assert_eq!(echo.header("x-request-id"), seen(&told, "x-request-id"));
    assert!(seen(&told, "traceparent").unwrap().contains(echo.header("x-trace-id").unwrap()));
    assert_eq!(front.get("/echo").status, 401, "the first host asks for a token");
    assert_eq!(front.get("/wrong").status, 502);
    front.log.expect_line("is not who it should be");

    let forged = "x-user-id: forged\r\nx-source-service: forged\r\nx-archipel-hops: 1\r\n";
    let ask = |own: Option<&Own>| secured(back.gateway, &authority, own, forged);
    let is_refused = |answer: Option<String>| answer.unwrap().starts_with("HTTP/1.1 401 ");
    assert!(is_refused(ask(None)), "without a certificate headers count for nothing");
    assert!(is_refused(ask(Some(&authority.vouches_for("stranger", false)))));
    back.log.expect_line("names nobody in `[trust]`");
    let believed = ask(Some(&authority.vouches_for("front", false))).unwrap();
    assert!(believed.starts_with("HTTP/1.1 200 ") && believed.contains("[\"x-user-id\",\"forged\"]"), "{believed}");
    assert!(ask(Some(&authority.vouches_for("front", true))).is_none_or(|answer| answer.is_empty()), "it has expired");
    assert!(
        ask(Some(&other.vouches_for("front", false))).is_none_or(|answer| answer.is_empty()),
        "of another authority"
    );
    back.log.expect_line("a client's certificate is refused");

    // Both sides are renewed while requests come; those of the old ones end well.
    let asking = || assert_eq!(front.send("GET", "/echo", &as_user, b"").status, 200, "while certificates are renewed");
    let renewed = |of: &Host, said: &str| of.log.text().matches(said).count();
    for (side, folder, name) in [(&front, &front.folder, "own"), (&back, &back.folder, "server")] {
        let (said, names) = match name {
            "own" => ("a renewed certificate is shown", "front"),
            _ => ("a renewed certificate is", "probe"),
        };
        let before = renewed(side, said);
        authority.vouches_for(names, false).write(folder.path(), name);
        until("the renewed certificate is used", || {
            asking();
            renewed(side, said) > before
        });
        (0..20).for_each(|_| asking());
    }

    // What is shown follows the files; the other host then knows nobody of this name.
    authority.vouches_for("stranger", false).write(front.folder.path(), "own");
    until("the renewed certificate is shown", || front.send("GET", "/echo", &as_user, b"").status == 401);
    front.log.expect_line("a renewed certificate is shown");
    authority.vouches_for("front", false).write(front.folder.path(), "own");
    until("it is believed again", || front.send("GET", "/echo", &as_user, b"").status == 200);
}

#[test]
fn by_tokens_a_call_keeps_its_identity_and_each_is_for_one_service_only() {
    // It would like to be somebody.
    let forged = "\r\nx-user-id: forged\r\nx-user-roles: admin\r\nx-source-service: forged\r\nx-archipel-token: forged\r\nx-archipel-hops: 0\r\n";
    let spy = Upstream::acting(move |_, _| Act::Say(ok("seen").replacen("\r\n", forged, 1).into_bytes()));
    let manifest = |url: &str| {
        format!(
            "{ISSUER}[services.probe]\nurl = \"{url}\"\ntrust = \"token\"\n\
             [services.spy]\nurl = \"http://{}\"\ntrust = \"token\"\n\
             [services.caller]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = {{ call = {{ probe = true }} }}\n\
             [[routes]]\npath = \"/{{*rest}}\"\nservice = \"probe\"\nauth = \"main\"\n\
             [[routes]]\npath = \"/spy\"\nservice = \"spy\"\nauth = \"main\"\n\
             [[routes]]\npath = \"/call\"\nservice = \"caller\"\nauth = \"main\"\n",
            spy.address
        )
    };
    let front = Host::running(&manifest("http://127.0.0.1:9"));
    let keys = format!("http://{}/.well-known/trust.json", front.gateway);
    let back = Host::running(&format!("{}[trust.test]\nservices = [\"probe\"]\njwks = \"{keys}\"\n", guarded()));
    let file = front.folder.path().join("manifest.toml");
    let moved = fs::read_to_string(file).unwrap().replace("http://127.0.0.1:9", &format!("http://{}", back.gateway));
    assert_eq!(front.apply(&moved).status, 200);

    let token = format!("Bearer {}", front.token("user-7", &["admin"]));
    let as_user = [("authorization", &*token), ("x-user-id", "forged")];
    for _ in 0..3 {
        let told = front.send("GET", "/echo", &as_user, b"").json();
        assert_eq!((seen(&told, "x-user-id"), seen(&told, "x-user-roles")), (Some("user-7"), Some("admin")), "{told}");
        assert_eq!((seen(&told, "x-source-service"), seen(&told, "authorization")), (None, None));
        assert!(!told.to_string().contains("x-archipel-"), "{told}");
    }
    let path = format!("/call?url={}", quoted("http://probe.internal/echo"));
    let called = front.send("GET", &path, &as_user, b"").json()[0].clone();
    let told: Value = serde_json::from_str(called["body"].as_str().unwrap_or_else(|| panic!("{called}"))).unwrap();
    assert_eq!((seen(&told, "x-source-service"), seen(&told, "x-user-id")), (Some("caller"), Some("user-7")));

    let answer = front.send("GET", "/spy", &as_user, b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, "seen"));
    for name in ["x-user-id", "x-user-roles", "x-source-service", "x-archipel-token", "x-archipel-hops"] {
        assert_eq!(answer.header(name), None, "an upstream is nobody, and says nothing to the client: {name}");
    }
    let stolen = shown(&spy.requests()[0]);
    let spoilt = format!("{}x", &stolen[..stolen.len() - 1]);
    for (shown, reason) in [
        (&*stolen, "it is for another service"),
        (&*spoilt, "the token of another host is refused"),
        ("forged", "the token of another host is refused"),
    ] {
        let refused = back.send("GET", "/echo", &[("x-archipel-token", shown), ("x-user-id", "forged")], b"");
        assert_eq!(refused.status, 401, "{reason}");
        assert_eq!(refused.json()["error"], json!("The word of another host is not believed"));
        back.log.expect_line(reason);
    }
    let stripped = [("x-user-id", "forged"), ("x-source-service", "caller"), ("x-archipel-hops", "0")];
    let refused = back.send("GET", "/echo", &stripped, b"");
    assert_eq!(refused.status, 401, "without the token the headers beside it count for nothing");
    assert_eq!(refused.json()["error"], json!("A bearer token is required; send Authorization: Bearer <token>"));
    let refused = back.admin("GET", "/metrics", b"").text();
    assert!(refused.contains("archipel_http_requests_refused_total{reason=\"trust\"} 3\n"), "{refused}");
    assert!(!back.log.text().contains(&stolen), "a token is in no log");

    // A new key is shown before it signs, so that no call meets a host that does not know it.
    let file = front.folder.path().join("manifest.toml");
    let rotated = Command::new(&["token", "rotate", "--trust", file.to_str().unwrap()]).json()["kid"].clone();
    assert_ne!(rotated, key_of(&stolen));
    let mut asked = 0;
    until("the new key signs", || {
        asked += 1;
        let user = format!("user-{asked}");
        let token = format!("Bearer {}", front.token(&user, &[]));
        let echo = front.send("GET", "/echo", &[("authorization", &token)], b"");
        assert_eq!((echo.status, seen(&echo.json(), "x-user-id")), (200, Some(&*user)), "while keys are rotated");
        assert_eq!(front.send("GET", "/spy", &[("authorization", &token)], b"").status, 200);
        rotated == key_of(&shown(spy.requests().last().unwrap()))
    });
}

#[test]
fn hosts_of_one_manifest_vouch_with_keys_that_each_of_them_shows() {
    let (redis, spy) = (Redis::start(), Upstream::acting(|_, _| Act::Say(ok("seen").into_bytes())));
    let manifest = |url: &str| {
        format!(
            "{ISSUER}[host]\ntrust_store = \"redis.main\"\n[redis.main]\nurl = \"{}\"\n\
             [services.probe]\nurl = \"{url}\"\ntrust = \"token\"\n\
             [services.spy]\nurl = \"http://{}\"\ntrust = \"token\"\n\
             [[routes]]\npath = \"/{{*rest}}\"\nservice = \"probe\"\nauth = \"main\"\n\
             [[routes]]\npath = \"/spy\"\nservice = \"spy\"\nauth = \"main\"\n",
            redis.url(),
            spy.address
        )
    };
    let first = Host::running(&manifest("http://127.0.0.1:9"));
    // What a balancer in front of both would answer: either of them, and so all of their keys.
    let keys = format!("http://{}/.well-known/trust.json", first.gateway);
    let back = Host::running(&format!("{}[trust.test]\nservices = [\"probe\"]\njwks = \"{keys}\"\n", guarded()));
    let (nowhere, there) = ("http://127.0.0.1:9", format!("http://{}", back.gateway));
    let written = fs::read_to_string(first.folder.path().join("manifest.toml")).unwrap();
    let applied = first.apply(&written.replace(nowhere, &there));
    assert_eq!(applied.status, 200, "{}", applied.text());
    let second = Host::running(&manifest(&there));
    let fronts = [&first, &second];
    let (mut asked, mut signed) = (0, Vec::new());
    let mut ask = || {
        asked += 1;
        signed.clear();
        for front in fronts {
            let user = format!("user-{asked}");
            let token = format!("Bearer {}", front.token(&user, &[]));
            let echo = front.send("GET", "/echo", &[("authorization", &token)], b"");
            assert_eq!((echo.status, seen(&echo.json(), "x-user-id")), (200, Some(&*user)), "of {}", front.gateway);
            assert_eq!(front.send("GET", "/spy", &[("authorization", &token)], b"").status, 200);
            signed.push(key_of(&shown(spy.requests().last().unwrap())));
        }
        signed.clone()
    };
    let before = ask();
    assert_eq!(before[0], before[1], "the second signs with what the first shows");
    (0..5).for_each(|_| drop(ask()));
}

/// A host with `own`, which asks `other` on another host; each believes the other's word.
fn one_of_two((own, other): (&str, &str), other_at: SocketAddr, more: &str) -> String {
    format!(
        "{ISSUER}[trust.test]\nservices = [\"{own}\"]\njwks = \"http://{other_at}/.well-known/trust.json\"\n\
         [services.{own}]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = {{ call = [\"{other}\"] }}\n\
         [services.{other}]\nurl = \"http://{other_at}\"\ntrust = \"token\"\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"{own}\"\npublic = true\n{more}"
    )
}

#[test]
fn a_circle_over_two_hosts_ends_as_508_and_what_the_first_has_left_holds_on_the_other() {
    let listening = |at: SocketAddr| format!("[gateway]\nlisten = \"{at}\"\n");
    let (spy, here, there) = (Upstream::acting(|_, _| Act::Say(ok("seen").into_bytes())), free(), free());
    let to_spy = format!(
        "timeout = \"7s\"\n[services.spy]\nurl = \"http://{}\"\ntrust = \"token\"\n\
         [[routes]]\npath = \"/spy\"\nservice = \"spy\"\npublic = true\ntimeout = \"7s\"\n",
        spy.address
    );
    let first = Host::running(&(listening(here) + &one_of_two(("ping", "pong"), there, &to_spy)));
    let _second = Host::running(&(listening(there) + &one_of_two(("pong", "ping"), here, "")));
    let turns = ["ping", "pong"].into_iter().cycle();
    let circle = |length: usize| {
        let steps = turns.clone().take(length).collect::<Vec<_>>();
        let onto =
            |rest: String, name: &&str| format!("/proxy?url={}", quoted(&format!("http://{name}.internal{rest}")));
        // The last of them answers itself; the first is `ping`, which is asked from outside.
        steps[1..].iter().rfold("/".to_owned(), onto)
    };
    assert_eq!(first.get(&circle(4)).status, 200, "some steps are none too many");
    let ended = first.get(&circle(12));
    assert_eq!(ended.status, 508, "{}", ended.text());

    assert_eq!(first.get("/spy").status, 200);
    let head = spy.requests().remove(0);
    let number = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {head}")).trim().parse::<u64>().unwrap()
    };
    assert_eq!(number("x-archipel-hops:"), 1);
    let left = number("x-archipel-timeout:");
    assert!(left > 0 && left <= 7000, "{left} ms");
}

/// The token of another host in a request's head.
fn shown(head: &str) -> String {
    head.lines().find_map(|line| line.strip_prefix("x-archipel-token: ")).expect("a token").to_owned()
}

/// The id of the key that signed a token.
fn key_of(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].clone()
}
