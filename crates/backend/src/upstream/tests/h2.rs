//! HTTP/2, agreed on by TLS or known before: many requests on one connection, and its end.

use std::sync::atomic::AtomicUsize;

use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use tokio::{net::TcpListener, sync::Notify};
use tokio_rustls::TlsAcceptor;

use super::{super::dial::Wire, *};

/// An HTTP/2 server for `localhost` that says which of its connections a request came on, from 1, and
/// ends them in order when it is told.
async fn server() -> (String, tempfile::TempDir, Outbound, Arc<Notify>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, made.cert.pem()).unwrap();
    let outbound = Outbound::new(Some(&roots)).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (authority, end) = listening(Some(acceptor)).await;
    (format!("https://{authority}"), folder, outbound, end)
}

/// The same without TLS where there is no `acceptor`; gives its name and port.
async fn listening(acceptor: Option<TlsAcceptor>) -> (String, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = format!("localhost:{}", listener.local_addr().unwrap().port());
    let (end, ends) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let ended = end.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, ended, number) = (acceptor.clone(), ended.clone(), ends.fetch_add(1, Relaxed) + 1);
            tokio::spawn(async move {
                let stream: Box<dyn Wire> = match acceptor {
                    None => Box::new(socket),
                    Some(acceptor) => match acceptor.accept(socket).await {
                        Ok(stream) => Box::new(stream),
                        Err(_doubted) => return,
                    },
                };
                let told = service_fn(move |request: Request<Incoming>| async move {
                    let whom = request.uri().authority().map(ToString::to_string).unwrap_or_default();
                    assert!(!request.headers().contains_key("host"));
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok::<_, std::convert::Infallible>(Response::new(body::full(format!("{number} {whom}"))))
                });
                let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), told);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ = &mut connection => return,
                    () = ended.notified() => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            });
        }
    });
    (authority, end)
}

#[tokio::test]
async fn a_service_that_is_known_to_speak_it_needs_no_tls_and_one_that_is_not_is_spoken_to_in_http_1() {
    let (authority, _) = listening(None).await;
    let mut known = settings(&[format!("http://{authority}")]);
    known.pool.http2 = true;
    known.limits.queue_wait = Duration::from_secs(10); // the others wait for the connection of the first
    let upstream = Arc::new(Upstream::new(&known, &Outbound::new(None).unwrap()));
    let each = (0..50).map(|_| get(&upstream));
    for told in futures_util::future::join_all(each).await {
        assert_eq!(told.unwrap(), format!("1 {authority}"), "one connection, also for the first of them");
    }
    known.pool.http2 = false;
    let failed = get(&Upstream::new(&known, &Outbound::new(None).unwrap())).await;
    assert!(failed.is_err(), "the server speaks nothing else: {failed:?}");
    let first = Server::answering("hello").await;
    let mut wrong = settings(&[first.url()]);
    wrong.pool.http2 = true;
    let failed = send(&Upstream::new(&wrong, &Outbound::new(None).unwrap()), post("x")).await;
    assert!(failed.is_err(), "it does not speak HTTP/2");
}

#[tokio::test]
async fn many_requests_share_a_connection_and_none_is_lost_when_its_server_ends_it() {
    let (url, _roots, outbound, end) = server().await;
    let mut patient = settings(std::slice::from_ref(&url));
    patient.limits.queue_wait = Duration::from_secs(10);
    let upstream = Arc::new(Upstream::new(&patient, &outbound));
    let whom = url.trim_start_matches("https://");
    assert_eq!(get(&upstream).await.unwrap(), format!("1 {whom}"));
    let many = |count: usize| {
        let each = (0..count).map(|_| {
            let upstream = upstream.clone();
            tokio::spawn(async move { get(&upstream).await.unwrap() })
        });
        futures_util::future::join_all(each.collect::<Vec<_>>())
    };
    for told in many(50).await {
        assert_eq!(told.unwrap(), format!("1 {whom}"));
    }
    assert_eq!(upstream.report()[0].connections, 1);

    let going = tokio::spawn(many(50));
    end.notify_waiters();
    for told in going.await.unwrap() {
        told.unwrap();
    }
    until("the next connection carries requests", || true).await;
    let told = get(&upstream).await.unwrap();
    assert!(!told.starts_with("1 "), "{told}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (url, _, _, _) = server().await;
    let doubting = Upstream::new(&settings(&[url]), &Outbound::new(None).unwrap());
    let failed = send(&doubting, post("secret")).await.err().unwrap();
    assert!(matches!(failed, UpstreamError::Untrusted { .. }), "{failed}");
}
