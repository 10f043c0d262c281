//! Both protocols over TLS, with a certificate made for the test.

use std::{fs, sync::Arc};

use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream, rustls};

use crate::harness::{
    Command, Host,
    h2::{Client, runtime, whole},
    probe,
};

struct Secured {
    host: Host,
    roots: rustls::RootCertStore,
}

fn secured() -> Secured {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("chain.pem"), made.cert.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let gateway = "[gateway]\nlisten = \"127.0.0.1:0\"\ntls = { cert = \"chain.pem\", key = \"key.pem\" }\n";
    let host = Host::running_in(folder, &format!("{gateway}{}", probe("limits = { timeout = \"6s\" }")));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()).unwrap();
    Secured { host, roots }
}

impl Secured {
    async fn connect(&self, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.unwrap().with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tcp = TcpStream::connect(self.host.gateway).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
    }
}

#[test]
fn a_probe_asks_by_https_whatever_name_the_certificate_has() {
    let secured = secured();
    for name in ["localhost", "127.0.0.1"] {
        let url = format!("https://{name}:{}/health/ready", secured.host.gateway.port());
        assert_eq!(Command::new(&["healthcheck", &url]).done().code, 0, "{url}");
    }
    let address = secured.host.gateway.to_string();
    assert_eq!(Command::new(&["healthcheck", &address]).done().code, 0, "an address that speaks TLS alone");
    let plain = format!("http://{}/health/ready", secured.host.gateway);
    assert!(Command::new(&["healthcheck", &plain]).refused().contains("gave no answer"));
}

#[test]
fn a_guest_behind_tls_sees_https_over_both_protocols() {
    let secured = secured();
    runtime().block_on(async {
        let h2 = secured.connect(&["h2", "http/1.1"]).await.unwrap();
        assert_eq!(h2.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 is preferred");
        let mut client = Client::over(h2, "https://localhost".into()).await;
        let over_h2: serde_json::Value =
            serde_json::from_slice(&whole(client.get("/echo").await.unwrap()).await.unwrap()).unwrap();

        let mut h1 = secured.connect(&["http/1.1"]).await.unwrap();
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        h1.write_all(b"GET /echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        h1.read_to_string(&mut answer).await.unwrap();
        let over_h1: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();

        for seen in [over_h2, over_h1] {
            assert_eq!(seen["scheme"], "https", "{seen}");
            assert_eq!(seen["authority"], "localhost");
            assert!(seen["headers"].to_string().contains("[\"x-forwarded-proto\",\"https\"]"), "{seen}");
        }
    });
}

#[test]
fn an_answer_cut_short_never_looks_whole_over_tls() {
    let secured = secured();
    runtime().block_on(async {
        let h2 = secured.connect(&["h2"]).await.unwrap();
        let mut client = Client::over(h2, "https://localhost".into()).await;
        let answer = client.get("/stream?chunks=1000&size=10&ms=100").await.unwrap();
        whole(answer).await.expect_err("cut at its time limit");
        let answer = client.get("/stream?chunks=20&size=100000").await.unwrap();
        assert_eq!(whole(answer).await.unwrap().len(), 2_000_000);
    });
}

#[test]
fn clear_text_on_a_tls_port_gets_nothing_of_a_guest() {
    let secured = secured();
    runtime().block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut clear = TcpStream::connect(secured.host.gateway).await.unwrap();
        clear.write_all(b"GET /echo HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // However it is closed.
        let _ = clear.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "{answer:?}");
    });
}
