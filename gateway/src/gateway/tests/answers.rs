//! What clients and services receive: statuses, headers, bodies.

use super::*;

#[tokio::test]
async fn a_service_receives_the_request_with_the_gateways_headers_only() {
    let seen = Seen::default();
    let gateway = gateway(recording(&seen));
    let sent = "GET /a\nhost: shop.test:3000\nconnection: x-hop\nx-hop: 1\nx-user-id: admin\nx-forwarded-for: 1.1.1.1\nx-request-id: r-1\nx-trace-id: 12345678-9012-3456-7890-123456789012\naccept: a/b";
    let response = send(&gateway, request(sent)).await;
    assert_eq!(
        response.headers()["x-trace-id"],
        "12345678901234567890123456789012"
    );
    assert_eq!(response.headers()["x-request-id"], "r-1");

    let (head, cx) = seen.lock().unwrap().pop().unwrap();
    let mut names: Vec<&str> = head.headers.keys().map(|name| name.as_str()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "accept",
            "host",
            "traceparent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id"
        ]
    );
    let value = |name: &str| field(&head.headers, name)[0].to_str().unwrap();
    assert_eq!(
        (
            value("x-forwarded-for"),
            value("x-forwarded-host"),
            value("x-forwarded-proto")
        ),
        ("192.0.2.7", "shop.test:3000", "https")
    );
    let span = format!(
        "00-12345678901234567890123456789012-{:016x}-01",
        cx.trace.span_id
    );
    assert_eq!(field(&head.headers, "traceparent"), [&span]);
    assert_eq!(cx.deadline - cx.received, Duration::from_secs(10));
}

#[tokio::test]
async fn a_request_without_a_host_header_gets_that_of_its_target() {
    let seen = Seen::default();
    send(&gateway(recording(&seen)), request("GET http://h2.test/a")).await;
    assert_eq!(
        field(&seen.lock().unwrap()[0].0.headers, "host"),
        ["h2.test"]
    );
}

#[tokio::test]
async fn a_host_that_is_missing_repeated_odd_or_different_is_a_400() {
    let gateway = gateway(hello());
    for head in [
        "GET /\nhost: a\nhost: a",
        "GET /\nhost: a b",
        "GET http://a/\nhost: b",
        "GET /\nhost: u@a",
        "GET http://u@a/",
    ] {
        assert_eq!(send(&gateway, request(head)).await.status(), 400, "{head}");
    }
    let none = Request::get("/").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(send(&gateway, none).await.status(), 400);
}

#[tokio::test]
async fn a_foreign_authority_is_a_421() {
    let own = Settings {
        hosts: vec!["shop.test".into(), "b.test:81".into()],
        ..settings()
    };
    let gateway = Gateway::new(table(vec![entry("/{*rest}", Methods::Any, hello())]), own);
    for (host, status) in [
        ("shop.test", 200),
        ("SHOP.test:80", 200),
        ("b.test:81", 200),
        ("b.test", 421),
        ("evil.test", 421),
    ] {
        assert_eq!(
            send(&gateway, request(&format!("GET /\nhost: {host}")))
                .await
                .status(),
            status,
            "{host}"
        );
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_404_and_another_method_a_405_with_allow() {
    let gateway = Gateway::new(
        table(vec![entry(
            "/a",
            Methods::parse(["GET", "POST"]).unwrap(),
            hello(),
        )]),
        settings(),
    );
    assert_eq!(
        sentence(send(&gateway, request("GET /b")).await, 404).await,
        "No route has this path"
    );
    let response = send(&gateway, request("OPTIONS /a")).await;
    assert_eq!(response.headers()["allow"], "GET, HEAD, POST");
    sentence(response, 405).await;
}

#[tokio::test]
async fn an_answer_passes_through_with_its_status_headers_and_body() {
    let gateway = gateway(service(|_request| {
        let version = AnsweredBy {
            service: "users".into(),
            version: HeaderValue::from_static("1.0.0+abc"),
        };
        let answer = Response::builder()
            .status(418)
            .header("x-own", "1")
            .header("x-service", "forged")
            .header("connection", "close")
            .header("x-trace-id", "forged");
        Ok(answer
            .extension(version)
            .body(stream(&["a", "", "b"], true))
            .unwrap())
    }));
    let response = send(&gateway, request("GET /")).await;
    assert_eq!(response.status(), 418);
    assert_eq!(field(response.headers(), "x-service"), ["users"]);
    assert_eq!(
        field(response.headers(), "x-service-version"),
        ["1.0.0+abc"]
    );
    assert!(
        response.headers().contains_key("x-own") && !response.headers().contains_key("connection")
    );
    assert_eq!(response.headers()["x-trace-id"].len(), 32);
    assert_eq!(text(response).await.unwrap(), "ab");

    let hidden = Settings {
        expose_version: false,
        ..settings()
    };
    let named = service(|_request| {
        let version = AnsweredBy {
            service: "users".into(),
            version: HeaderValue::from_static("1"),
        };
        Ok(Response::builder()
            .extension(version)
            .body(body::empty())
            .unwrap())
    });
    gateway.replace(table(vec![entry("/{*rest}", Methods::Any, named)]), hidden);
    assert!(
        field(
            send(&gateway, request("GET /")).await.headers(),
            "x-service"
        )
        .is_empty()
    );
}

#[tokio::test]
async fn an_answer_that_is_not_as_long_as_it_says_never_looks_whole() {
    let long = |length: &'static str, parts: &'static [&'static str]| {
        let answer = move |_request| {
            Ok(Response::builder()
                .header("content-length", length)
                .body(stream(parts, true))
                .unwrap())
        };
        gateway(service(answer))
    };
    assert_eq!(
        text(send(&long("2", &["a", "b"]), request("GET /")).await)
            .await
            .unwrap(),
        "ab"
    );
    for (length, parts) in [
        ("3", &["a", "b"][..]),
        ("1", &["a", "b"]),
        ("1", &["ab"]),
        ("1", &[]),
    ] {
        let cut = text(send(&long(length, parts), request("GET /")).await).await;
        assert!(matches!(cut, Err(BodyError::Cut(_))), "{length} {parts:?}");
    }
    let whole = |_request| {
        Ok(Response::builder()
            .header("content-length", "9")
            .body(body::full("ab"))
            .unwrap())
    };
    sentence(send(&gateway(service(whole)), request("GET /")).await, 502).await;
    assert_eq!(
        send(&long("two", &["ab"]), request("GET /")).await.status(),
        502
    );
}

#[tokio::test]
async fn a_cut_answer_ends_in_an_error_and_returns_its_permit() {
    let gateway = gateway(service(|_request| {
        let frames = [
            Ok(Frame::data(Bytes::from("half"))),
            Err(BodyError::Cut("a trap".into())),
        ];
        Ok(Response::new(Body::new(StreamBody::new(
            futures_util::stream::iter(frames),
        ))))
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
        table(vec![
            entry("/a", Methods::Any, hello()),
            entry("/b", Methods::parse(["GET"]).unwrap(), hello()),
        ]),
        settings(),
    );
    for path in ["/a", "/b"] {
        let response = send(&gateway, request(&format!("HEAD {path}"))).await;
        assert_eq!(
            (
                response.status().as_u16(),
                &response.headers()["content-length"]
            ),
            (200, &HeaderValue::from_static("5"))
        );
        assert_eq!(text(response).await.unwrap(), "");
    }
    let missing = send(&gateway, request("HEAD /c")).await;
    assert_eq!(
        (
            missing.status().as_u16(),
            missing.headers().contains_key("content-length")
        ),
        (404, true)
    );
    assert_eq!(text(missing).await.unwrap(), "");
}

#[tokio::test]
async fn a_status_without_a_body_has_none() {
    let gateway = gateway(service(|request| {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        Ok(Response::builder()
            .status(status)
            .header("content-length", "4")
            .body(body::full("body"))
            .unwrap())
    }));
    let deleted = send(&gateway, request("DELETE /204")).await;
    assert!(deleted.status() == 204 && !deleted.headers().contains_key("content-length"));
    assert_eq!(text(deleted).await.unwrap(), "");
    assert_eq!(
        text(send(&gateway, request("GET /304")).await)
            .await
            .unwrap(),
        ""
    );
    assert_eq!(send(&gateway, request("GET /101")).await.status(), 502);
}

#[tokio::test]
async fn every_failure_of_a_service_has_its_status_and_tells_nothing_from_inside() {
    let reason = || "secret reason".to_owned();
    let name = || Arc::<str>::from("users");
    let failures: [(u16, Box<dyn Fn() -> DispatchError + Send + Sync>); 8] = [
        (
            503,
            Box::new(move || DispatchError::Unavailable {
                service: name(),
                reason: reason(),
            }),
        ),
        (
            503,
            Box::new(move || DispatchError::Overloaded { service: name() }),
        ),
        (
            504,
            Box::new(move || DispatchError::TimedOut {
                service: name(),
                reason: reason(),
            }),
        ),
        (
            502,
            Box::new(move || DispatchError::Trapped {
                service: name(),
                reason: reason(),
            }),
        ),
        (
            502,
            Box::new(move || DispatchError::InvalidAnswer {
                service: name(),
                reason: reason(),
            }),
        ),
        (413, Box::new(|| BodyError::TooLarge { limit: 10 }.into())),
        (408, Box::new(|| BodyError::TooSlow.into())),
        (400, Box::new(move || BodyError::Cut(reason()).into())),
    ];
    for (status, failure) in failures {
        let response = send(
            &gateway(service(move |_request| Err(failure()))),
            request("GET /"),
        )
        .await;
        assert_eq!(
            response.headers().contains_key("retry-after"),
            status == 503
        );
        let sentence = sentence(response, status).await;
        assert!(
            !sentence.contains("secret") && !sentence.contains("users"),
            "{sentence}"
        );
    }
}

#[test]
fn what_never_became_a_request_is_refused_in_the_same_envelope() {
    let response =
        gateway(hello()).refuse(StatusCode::URI_TOO_LONG, "The request target is too long");
    let json: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(json["error"], "The request target is too long");
    assert_eq!(
        response.headers()["x-trace-id"],
        json["traceId"].as_str().unwrap()
    );
    assert_eq!(
        response.headers()["content-length"],
        response.body().len().to_string()
    );
    assert!(response.headers().contains_key("x-request-id"));
}
