//! Registries that do wrong, and one that wants to be shown something.

use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

type Answering = dyn Fn(&Request<Incoming>, &str) -> Response<Full<Bytes>> + Send + Sync;

/// A registry that answers so; its address, and what it was asked.
async fn registry(
    answering: impl Fn(&Request<Incoming>, &str) -> Response<Full<Bytes>> + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (asked, answering): (Arc<Mutex<Vec<String>>>, Arc<Answering>) = (Arc::default(), Arc::new(answering));
    let (seen, own) = (asked.clone(), address.clone());
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (seen, own, answering) = (seen.clone(), own.clone(), answering.clone());
            let answer = service_fn(move |request: Request<Incoming>| {
                let word = request.headers().get("authorization").map_or("", |word| word.to_str().unwrap());
                seen.lock().unwrap().push(format!("{} {} {word}", request.method(), request.uri()));
                std::future::ready(Ok::<_, std::convert::Infallible>(answering(&request, &own)))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), answer));
        }
    });
    (address, asked)
}

fn says(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

fn client(config: &str) -> (tempfile::TempDir, Registries) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let environment = [("DOCKER_CONFIG".to_owned(), folder.path().to_str().unwrap().to_owned())].into();
    let registries = Registries::new(&Outbound::new(None).unwrap(), &environment, BTreeSet::new());
    (folder, registries)
}

fn manifest_of(digest: &str, size: usize) -> String {
    json!({ "layers": [{ "mediaType": "application/wasm", "digest": digest, "size": size }] }).to_string()
}

/// What comes of a component with `layer` in its manifest and `blob` behind that.
async fn fetched(layer: &str, size: usize, blob: &'static [u8], by: &str) -> Result<Bytes, String> {
    let manifest = manifest_of(layer, size);
    let (address, _) = registry(move |request, _| match request.uri().path().contains("/manifests/") {
        true => says(200, manifest.clone()),
        false => says(200, blob),
    })
    .await;
    let remote = format!("oci://{address}/a/b{by}").parse().unwrap();
    let (_folder, registries) = client("{}");
    registries.fetch(&remote).await.map(|fetched| fetched.wasm).map_err(|error| error.to_string())
}

#[tokio::test]
async fn nothing_is_believed_that_is_not_what_was_asked_for() {
    let right = Sha256::of(b"component").to_string();
    assert_eq!(fetched(&right, 9, b"component", ":1").await, Ok(Bytes::from_static(b"component")));
    let pinned = format!("@{}", Sha256::of(manifest_of(&right, 9).as_bytes()));
    assert!(fetched(&right, 9, b"component", &pinned).await.is_ok());
    let other = format!("@{}", Sha256::of(b"another manifest"));
    for (layer, size, blob, by, wrong) in [
        (&*right, 9, &b"Component"[..], ":1", "nothing of it is used"),
        (&right, 9, b"comp", ":1", "broke off after 4 of 9 bytes"),
        (&right, 4, b"component", ":1", "larger than 4 bytes"),
        (&right, 9, b"component", &other, "nothing of it is used"),
        (&right, 1 << 40, b"component", ":1", "larger than 67108864 bytes"),
        ("sha256:../../secret", 9, b"component", ":1", "no digest"),
    ] {
        let error = fetched(layer, size, blob, by).await.unwrap_err();
        assert!(error.contains(wrong), "{layer} {by}: {error}");
    }
}

/// A registry that gives tokens for a name and a password, and takes one of them.
async fn guarded(token: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let manifest = manifest_of(&Sha256::of(b"component").to_string(), 9);
    registry(move |request, own| {
        let word = request.headers().get("authorization").map(|word| word.to_str().unwrap());
        match (request.uri().path(), word) {
            ("/token", Some("Basic bWU6c2VjcmV0")) => says(200, format!(r#"{{"token":"{token}"}}"#)),
            ("/token", _) => says(401, ""),
            (path, Some("Bearer good")) if path.contains("/manifests/") => says(200, manifest.clone()),
            (_, Some("Bearer good")) => says(200, "component"),
            _ => {
                let realm = format!(r#"Bearer realm="http://{own}/token",service="it""#);
                Response::builder().status(401).header("www-authenticate", realm).body(Full::default()).unwrap()
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_token_is_fetched_for_who_has_logged_in_and_for_nothing_more_than_is_done() {
    let (address, asked) = guarded("good").await;
    let remote = format!("oci://{address}/a/b:1").parse().unwrap();
    let (_folder, registries) = client(&format!(r#"{{"auths":{{"{address}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#));
    assert_eq!(registries.fetch(&remote).await.unwrap().wasm, "component");
    let asked = asked.lock().unwrap().clone();
    let token = "GET /token?scope=repository%3Aa/b%3Apull&service=it Basic bWU6c2VjcmV0";
    assert!(asked.iter().any(|one| one == token), "{asked:?}");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_how_to_log_in_and_no_secret() {
    let (expired, _) = guarded("expired").await;
    let (good, _) = guarded("good").await;
    let login = format!(r#"{{"auths":{{"{expired}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#);
    for (address, config, says) in [
        (&expired, &*login, "may not `pull` in `a/b`"),
        (&good, "{}", "gives no token: it answered 401"),
        (&good, &format!(r#"{{"credHelpers":{{"{good}":"gcloud"}}}}"#), "docker-credential-gcloud"),
    ] {
        let (_folder, registries) = client(config);
        let error = registries.fetch(&format!("oci://{address}/a/b:1").parse().unwrap()).await.err().unwrap();
        let error = error.to_string();
        assert!(error.contains(says) && !error.contains("secret") && !error.contains("bWU6"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_gets_no_credentials_and_never_leaves_tls_behind() {
    let (elsewhere, seen) = registry(|_, _| says(200, "component")).await;
    let place = elsewhere.replace("127.0.0.1", "localhost");
    let to = move |place: String| {
        let manifest = manifest_of(&Sha256::of(b"component").to_string(), 9);
        move |request: &Request<Incoming>, _: &str| {
            let word = request.headers().get("authorization");
            match (word, request.uri().path().contains("/manifests/")) {
                (None, _) => {
                    let basic = Response::builder().status(401).header("www-authenticate", "Basic realm=\"it\"");
                    basic.body(Full::default()).unwrap()
                }
                (_, true) => says(200, manifest.clone()),
                (_, false) => {
                    let away = Response::builder().status(StatusCode::TEMPORARY_REDIRECT);
                    away.header("location", place.clone()).body(Full::default()).unwrap()
                }
            }
        }
    };
    for (place, right) in [(format!("http://{place}/blob"), true), ("http://203.0.113.7/blob".to_owned(), false)] {
        let (address, _) = registry(to(place)).await;
        let (_folder, registries) = client(&format!(r#"{{"auths":{{"{address}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#));
        let fetched = registries.fetch(&format!("oci://{address}/a/b:1").parse().unwrap()).await;
        match right {
            true => assert_eq!(fetched.unwrap().wasm, "component"),
            false => assert!(fetched.err().unwrap().to_string().contains("without TLS")),
        }
    }
    assert_eq!(*seen.lock().unwrap(), ["GET /blob "]);
}
