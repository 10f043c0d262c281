//! What clients receive: statuses, headers, bodies.

use super::*;

#[tokio::test]
async fn an_answer_passes_through_with_its_status_headers_and_body() {
    let gateway = gateway(service(|_request| {
        let version = AnsweredBy { service: "users".into(), version: Some(HeaderValue::from_static("1.0.0+abc")) };
        let answer = Response::builder()
            .status(418)
            .header("x-own", "1")
            .header("x-service", "forged")
            .header("connection", "close")
            .header("x-trace-id", "forged");
        Ok(answer.extension(version).body(stream(&["a", "", "b"], true)).unwrap())
    }));
    let response = send(&gateway, request("GET /")).await;
    assert_eq!(response.status(), 418);
    assert_eq!(field(response.headers(), "x-service"), ["users"]);
    assert_eq!(field(response.headers(), "x-service-version"), ["1.0.0+abc"]);
    assert!(response.headers().contains_key("x-own") && !response.headers().contains_key("connection"));
    assert_eq!(response.headers()["x-trace-id"].len(), 32);
    assert_eq!(text(response).await.unwrap(), "ab");

    let hidden = Settings { expose_version: false, ..settings() };
    let named = service(|_request| {
        let version = AnsweredBy { service: "users".into(), version: Some(HeaderValue::from_static("1")) };
        Ok(Response::builder().extension(version).body(body::empty()).unwrap())
    });
    gateway.replace(table(vec![entry("/{*rest}", Methods::Any, named)]), hidden);
    assert!(field(send(&gateway, request("GET /")).await.headers(), "x-service").is_empty());
}

#[tokio::test]
async fn an_answer_that_is_not_as_long_as_it_says_never_looks_whole() {
    let long = |length: &'static str, parts: &'static [&'static str]| {
        let answer =
            move |_request| Ok(Response::builder().header("content-length", length).body(stream(parts, true)).unwrap());
        gateway(service(answer))
    };
    assert_eq!(text(send(&long("2", &["a", "b"]), request("GET /")).await).await.unwrap(), "ab");
    for (length, parts) in [("3", &["a", "b"][..]), ("1", &["a", "b"]), ("1", &["ab"]), ("1", &[])] {
        let cut = text(send(&long(length, parts), request("GET /")).await).await;
        assert!(matches!(cut, Err(BodyError::Cut(_))), "{length} {parts:?}");
    }
    let whole = |_request| Ok(Response::builder().header("content-length", "9").body(body::full("ab")).unwrap());
    sentence(send(&gateway(service(whole)), request("GET /")).await, 502).await;
    assert_eq!(send(&long("two", &["ab"]), request("GET /")).await.status(), 502);
}

#[tokio::test]
async fn a_cut_answer_ends_in_an_error_and_returns_its_permit() {
    let gateway = gateway(service(|_request| {
        let frames = [Ok(Frame::data(Bytes::from("half"))), Err(BodyError::Cut("a trap".into()))];
        Ok(Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames)))))
    }));
    let mut body = send(&gateway, request("GET /")).await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert!(matches!(body.frame().await, Some(Err(BodyError::Cut(_)))));
    assert!(body.frame().await.is_none());
    assert_eq!(gateway.in_flight(), 0);
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let gateway = Gateway::new(
        table(vec![entry("/a", Methods::Any, hello()), entry("/b", Methods::parse(["GET"]).unwrap(), hello())]),
        settings(),
    );
    for path in ["/a", "/b"] {
        let response = send(&gateway, request(&format!("HEAD {path}"))).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-length"]),
            (200, &HeaderValue::from_static("5"))
        );
        assert_eq!(text(response).await.unwrap(), "");
    }
    let missing = send(&gateway, request("HEAD /c")).await;
    assert_eq!((missing.status().as_u16(), missing.headers().contains_key("content-length")), (404, true));
    assert_eq!(text(missing).await.unwrap(), "");
}

#[tokio::test]
async fn a_status_without_a_body_has_none() {
    let gateway = gateway(service(|request| {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        Ok(Response::builder().status(status).header("content-length", "4").body(body::full("body")).unwrap())
    }));
    let deleted = send(&gateway, request("DELETE /204")).await;
    assert!(deleted.status() == 204 && !deleted.headers().contains_key("content-length"));
    assert_eq!(text(deleted).await.unwrap(), "");
    assert_eq!(text(send(&gateway, request("GET /304")).await).await.unwrap(), "");
    assert_eq!(send(&gateway, request("GET /101")).await.status(), 502);
}

#[tokio::test]
async fn every_failure_of_a_service_has_its_status_and_tells_nothing_from_inside() {
    let reason = || "secret reason".to_owned();
    let name = || Arc::<str>::from("users");
    let failures: [(u16, Box<dyn Fn() -> DispatchError + Send + Sync>); 9] = [
        (503, Box::new(move || DispatchError::Unavailable { service: name(), reason: reason() })),
        (503, Box::new(move || DispatchError::Overloaded { service: name() })),
        (504, Box::new(move || DispatchError::TimedOut { service: name(), reason: reason() })),
        (500, Box::new(move || DispatchError::Raised { service: name(), reason: reason() })),
        (502, Box::new(move || DispatchError::Trapped { service: name(), reason: reason() })),
        (502, Box::new(move || DispatchError::InvalidAnswer { service: name(), reason: reason() })),
        (413, Box::new(|| BodyError::TooLarge { limit: 10 }.into())),
        (408, Box::new(|| BodyError::TooSlow.into())),
        (400, Box::new(move || BodyError::Cut(reason()).into())),
    ];
    for (status, failure) in failures {
        let response = send(&gateway(service(move |_request| Err(failure()))), request("GET /")).await;
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
        let sentence = sentence(response, status).await;
        assert!(!sentence.contains("secret") && !sentence.contains("users"), "{sentence}");
    }
}

#[test]
fn what_never_became_a_request_is_refused_in_the_same_envelope() {
    let response = gateway(hello()).refuse(StatusCode::URI_TOO_LONG, "The request target is too long");
    let json: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(json["error"], "The request target is too long");
    assert_eq!(response.headers()["x-trace-id"], json["traceId"].as_str().unwrap());
    assert_eq!(response.headers()["content-length"], response.body().len().to_string());
    assert!(response.headers().contains_key("x-request-id"));
}
