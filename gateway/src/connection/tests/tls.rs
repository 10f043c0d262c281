//! TLS with hyper's client.

use std::path::Path;

use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};

use super::*;
use crate::tls::{Files, Tls, TlsError};

/// A certificate for `localhost` that signs itself, with the server's side made from files.
struct Identity {
    tls: Tls,
    roots: rustls::RootCertStore,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = std::env::temp_dir().join(format!("gateway-tls-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&directory).unwrap();
    let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Tls::read(files(&chain, &key));
    let swapped = Tls::read(files(&key, &chain));
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(matches!(swapped, Err(TlsError::NoCertificate { .. })));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()).unwrap();
    Identity { tls: tls.unwrap(), roots }
}

fn files(certificate: &Path, key: &Path) -> Files {
    Files { certificate: certificate.into(), key: key.into(), client_ca: None, without_too: false }
}

#[test]
fn a_missing_file_is_named() {
    let error = Tls::read(files(Path::new("/no/chain.pem"), Path::new("/no/key.pem"))).err().unwrap();
    assert!(error.to_string().contains("/no/chain.pem"), "{error}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_handshake_is_closed() {
    let tls = identity().tls;
    let server = Server::with(
        |settings| {
            settings.tls = Some(tls);
            settings.times = times(Duration::from_millis(100));
        },
        hello,
    );
    assert_eq!(server.exchange("").await, "");
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn tls_speaks_both_protocols_by_alpn() {
    let Identity { tls, roots } = identity();
    let server = Server::with(|settings| settings.tls = Some(tls), hello);

    for protocol in ["h2", "http/1.1"] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("localhost").unwrap();
        let io = TokioIo::new(connector.connect(name, server.connect().await).await.unwrap());
        let request =
            Request::get("https://localhost/").header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
        let response = if protocol == "h2" {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello", "{protocol}");
    }
}
