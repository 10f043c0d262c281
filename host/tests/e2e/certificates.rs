//! Certificates of our own listeners: renewed while they are used, told of before they end; and to whom
//! the admin API answers.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls};

use backend::unjudged::Unjudged;

use crate::harness::{Command, Connection, Host, exchange, h2::runtime, place, probe, until};

/// A certificate for `localhost` that signs itself, good for so many days.
struct Made {
    certificate: rcgen::Certificate,
    key: String,
    /// Seconds since 1970.
    end: i64,
}

fn made(days: i64) -> Made {
    let end = jiff::Timestamp::now() + Duration::from_secs(days.unsigned_abs() * 24 * 60 * 60);
    let end = end.to_zoned_datetime(jiff::tz::TimeZone::UTC).start_of_day().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut wanted = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let [month, day] = [end.month(), end.day()].map(|part| u8::try_from(part).unwrap());
    wanted.not_after = rcgen::date_time_ymd(end.year().into(), month, day);
    let certificate = wanted.self_signed(&key).unwrap();
    Made { certificate, key: key.serialize_pem(), end: end.timestamp().as_second() }
}

impl Made {
    fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("chain.pem"), self.certificate.pem()).unwrap();
        fs::write(folder.join("key.pem"), &self.key).unwrap();
    }
}

const GATEWAY: &str =
    "[gateway]\nlisten = \"127.0.0.1:0\"\ntls = { cert = \"live/chain.pem\", key = \"live/key.pem\" }\n";

/// Makes `live` lead to another folder, as Kubernetes does with `..data`.
fn turn_to(folder: &Path, name: &str) {
    symlink(name, folder.join("next")).unwrap();
    fs::rename(folder.join("next"), folder.join("live")).unwrap();
}

/// Which certificate the gateway shows now, whoever's it is.
fn shown(host: &Host) -> CertificateDer<'static> {
    runtime().block_on(async {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider.clone());
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Unjudged(provider)));
        let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
        let tcp = TcpStream::connect(host.gateway).await.unwrap();
        let tls = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
        tls.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    })
}

/// What `/metrics` says of the gateway's certificate.
fn end_in_metrics(host: &Host) -> Option<i64> {
    let text = exchange(host.admin, "GET", "/metrics", &[], b"").text();
    let line = text.lines().find_map(|line| line.strip_prefix("archipel_certificate_end_seconds{owner=\"gateway\"} "));
    line.map(|end| end.parse().unwrap())
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart_and_its_end_is_told() {
    let (folder, first, second) = (place(), made(100), made(200));
    first.write(&folder.path().join("a"));
    second.write(&folder.path().join("b"));
    turn_to(folder.path(), "a");
    let host = Host::running_in(folder, &format!("{GATEWAY}{}", probe("")));
    let folder = host.folder.path();
    assert_eq!(shown(&host), *first.certificate.der());
    assert_eq!(end_in_metrics(&host), Some(first.end));

    turn_to(folder, "b");
    until("the renewed one is shown", || shown(&host) == *second.certificate.der());
    until("and its end told", || end_in_metrics(&host) == Some(second.end));
    host.log.expect_line("a renewed certificate is used");
    let status = host.admin("GET", "/v1/status", b"").json();
    let told = &status["data"]["certificates"][0];
    let end: jiff::Timestamp = told["notAfter"].as_str().unwrap().parse().unwrap();
    assert_eq!((&told["owner"], end.as_second()), (&"gateway".into(), second.end));
    let printed = host.command(&["status"]).done().output;
    assert!(printed.contains(told["notAfter"].as_str().unwrap()), "{printed}");

    // A key that does not fit: the pair before it goes on, and once it is told.
    fs::write(folder.join("b/key.pem"), &first.key).unwrap();
    host.log.expect_line("a changed certificate cannot be used");
    assert_eq!(shown(&host), *second.certificate.der());
    turn_to(folder, "a");
    second.write(&folder.join("b"));
    until("whole pairs are used again", || shown(&host) == *first.certificate.der());
    assert_eq!(host.log.text().matches("a changed certificate cannot be used").count(), 1);
    assert!(!host.log.text().contains("expires soon"), "{}", host.log.text());
}

#[test]
fn a_certificate_that_ends_soon_is_told_at_the_start() {
    let (folder, soon) = (place(), made(10));
    soon.write(&folder.path().join("a"));
    turn_to(folder.path(), "a");
    let host = Host::running_in(folder, &format!("{GATEWAY}{}", probe("")));
    let line = host.log.expect_line("a certificate expires soon");
    let left = Duration::from_secs(soon.end.unsigned_abs()).saturating_sub(since_1970());
    assert!(line.contains(&format!("\"days\":{}", left.as_secs() / 86_400)) && line.contains("chain.pem"), "{line}");
}

#[test]
fn a_certificate_that_a_service_elsewhere_is_shown_is_told_of_as_well() {
    let (folder, soon) = (place(), made(10));
    soon.write(folder.path());
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let legacy = format!(
        "[services.legacy]\nurl = \"https://{nobody}\"\ntls = {{ ca = \"chain.pem\", cert = \"chain.pem\", key = \"key.pem\" }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"legacy\"\npublic = true\n"
    );
    let host = Host::running_in(folder, &legacy);
    assert!(host.get("/").status >= 502, "nobody is there; its files are read for the attempt");
    let line: serde_json::Value = serde_json::from_str(&host.log.expect_line("a certificate expires soon")).unwrap();
    assert_eq!(line["owner"], "service legacy");
    let told = &host.admin("GET", "/v1/status", b"").json()["data"]["certificates"][0];
    let end: jiff::Timestamp = told["notAfter"].as_str().unwrap().parse().unwrap();
    assert_eq!((&told["owner"], end.as_second()), (&"service legacy".into(), soon.end));
    let metrics = exchange(host.admin, "GET", "/metrics", &[], b"").text();
    let sample = format!("archipel_certificate_end_seconds{{owner=\"service legacy\"}} {}\n", soon.end);
    assert!(metrics.contains(&sample), "{metrics}");
}

/// Writes an authority (`ca.pem`) and a certificate of it for a client (`client.pem`, `client-key.pem`).
fn client_of_an_authority(folder: &Path) {
    let mut wanted = rcgen::CertificateParams::new(Vec::new()).unwrap();
    wanted.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(folder.join("ca.pem"), wanted.self_signed(&key).unwrap().pem()).unwrap();
    let authority = rcgen::Issuer::new(wanted, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let client = rcgen::CertificateParams::new(vec!["ci".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(folder.join("client.pem"), client.pem()).unwrap();
    fs::write(folder.join("client-key.pem"), key.serialize_pem()).unwrap();
}

#[test]
fn the_admin_api_speaks_tls_to_those_with_a_certificate_of_its_authority() {
    let (folder, server) = (place(), made(100));
    server.write(folder.path());
    client_of_an_authority(folder.path());
    let tls = "tls = { cert = \"chain.pem\", key = \"key.pem\", client_ca = \"ca.pem\" }\n";
    let host = Host::running_in(folder, &format!("{tls}{}", probe("")));
    let token = host.admin_token();
    let file = |name: &str| host.folder.path().join(name).display().to_string();
    let status = |url: String, files: &[(&str, &str)]| {
        let named: Vec<String> = files.iter().flat_map(|(flag, name)| [(*flag).to_owned(), file(name)]).collect();
        let arguments: Vec<&str> =
            ["status", "--json", "--admin", &url].into_iter().chain(named.iter().map(|word| &**word)).collect();
        Command::with(&arguments, &[("ARCHIPEL_ADMIN_TOKEN", &token)]).done()
    };
    let address = |scheme: &str| format!("{scheme}://localhost:{}", host.admin.port());
    let ca = ("--admin-ca", "chain.pem");
    let (cert, key) = (("--admin-cert", "client.pem"), ("--admin-key", "client-key.pem"));

    let done = status(address("https"), &[ca, cert, key]);
    assert_eq!(done.code, 0, "{}", done.errors);
    let told: serde_json::Value = serde_json::from_str(&done.output).unwrap();
    assert_eq!(told["certificates"][0]["owner"], "admin");
    for (url, files, says) in [
        (address("https"), &[ca][..], "broke off"),
        (address("https"), &[ca, ("--admin-cert", "chain.pem"), ("--admin-key", "key.pem")], "broke off"),
        (address("https"), &[cert, key], "no TLS with"),
        (address("http"), &[], "begins with https://"),
    ] {
        let refused = status(url, files);
        assert_eq!(refused.code, 1, "{}", refused.output);
        assert!(refused.errors.contains(says), "{files:?}: {}", refused.errors);
    }
    assert_eq!(host.get("/").status, 200);
}

#[test]
fn the_admin_api_answers_to_its_address_and_to_the_names_that_it_was_given() {
    let host = Host::running(&format!("hosts = [\"ops.test\"]\n{}", probe("")));
    let status = |name: &str| {
        let mut connection = Connection::open(host.admin);
        connection.write(format!("GET /metrics HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n").as_bytes());
        connection.answer(false).expect("an answer").status
    };
    let port = host.admin.port();
    for name in [host.admin.to_string(), format!("localhost:{port}"), "ops.test".into(), format!("ops.test:{port}")] {
        assert_eq!(status(&name), 200, "{name}");
    }
    for name in ["evil.test", "ops.test.evil.test"] {
        assert_eq!(status(name), 421, "{name}");
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}
