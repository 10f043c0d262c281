//! The way out against servers and resolvers of the test: TLS, and answers of DNS that change.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicUsize, Ordering},
};

use gateway::body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use grant::{
    Permissions,
    net::{Net, NetAllow, Target},
};

fn granting(entry: &str) -> Arc<Grants> {
    let allow = NetAllow::Only([entry.parse().unwrap()].into());
    let net = Net { allow, ..Net::default() };
    Arc::new(Grants::new("a".into(), "a.toml".into(), Permissions { net, ..Permissions::default() }))
}

/// Resolves every name to these, one answer after the other, and counts.
fn resolving(answers: &'static [Ipv4Addr]) -> (Resolver, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let resolver = Resolver::from_fn(move |_name| {
        let at = counter.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        Box::pin(async move { Ok(vec![IpAddr::V4(answers[at])]) })
    });
    (resolver, asked)
}

async fn get(client: &Client, grants: &Grants, url: &str) -> Result<Response<Body>, SendError> {
    let target: Target = url.parse().unwrap();
    let granted = grants.net(&target).unwrap();
    let request = Request::get(url).body(body::empty()).unwrap();
    let timeouts = Timeouts { connect: None, first_byte: None, deadline: Instant::now() + Duration::from_secs(20) };
    client.send(&granted, request, timeouts).await
}

/// An HTTPS server for `localhost` that tells the version it was spoken to with, and the file of its authority.
async fn secured(protocols: &[&[u8]]) -> (u16, tempfile::NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let roots = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&roots, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let told = service_fn(|request: Request<Incoming>| async move {
                    let version = format!("{:?}", request.version());
                    Ok::<_, std::convert::Infallible>(Response::new(body::full(version)))
                });
                // A client that goes away is no failure of the test.
                let _ = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => {
                        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), told).await
                    }
                    _ => http1::Builder::new().serve_connection(TokioIo::new(stream), told).await,
                };
            });
        }
    });
    (port, roots)
}

/// This machine first, then a cloud's metadata.
const CHANGING: &[Ipv4Addr] = &[Ipv4Addr::LOCALHOST, Ipv4Addr::new(169, 254, 169, 254)];
const HERE: &[Ipv4Addr] = &[Ipv4Addr::LOCALHOST];

#[tokio::test]
async fn tls_is_checked_and_speaks_the_best_protocol_that_both_know() {
    for (protocols, version) in [(&[b"h2".as_slice(), b"http/1.1"][..], "HTTP/2.0"), (&[b"http/1.1"], "HTTP/1.1")] {
        let (port, roots) = secured(protocols).await;
        let grants = granting(&format!("https://localhost:{port}"));
        let believed = Roots::only(roots.path(), "").unwrap();
        let client = Outbound::with(resolving(HERE).0, believed).client(grants.clone());
        let answer = get(&client, &grants, &format!("https://localhost:{port}/")).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), version);
        let doubting = Outbound::with(resolving(HERE).0, Roots::web(None, "").unwrap()).client(grants.clone());
        let refused = get(&doubting, &grants, &format!("https://localhost:{port}/")).await.unwrap_err();
        assert!(matches!(refused, SendError::Certificate(_)), "{refused}");
    }
}

#[tokio::test]
async fn a_resolver_that_changes_its_answer_gains_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let grants = granting(&format!("api.example.com:{port}"));
    let (resolver, asked) = resolving(CHANGING);
    let client = Outbound::with(resolver, Roots::web(None, "").unwrap()).client(grants.clone());
    for look in 1..=2 {
        let refused = get(&client, &grants, &format!("http://api.example.com:{port}/")).await.unwrap_err();
        assert!(matches!(refused, SendError::Denied(_)), "{refused}");
        assert_eq!(asked.load(Ordering::Relaxed), look, "one look for each connection");
    }
    let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(nobody.is_err(), "nothing was connected");
}
