//! Whom a request is for, and what its service receives.

use super::*;

#[tokio::test]
async fn a_service_receives_the_request_with_the_gateways_headers_only() {
    let seen = Seen::default();
    let gateway = gateway(recording(&seen));
    let sent = "GET /a\nhost: shop.test:3000\nconnection: x-hop\nx-hop: 1\nx-user-id: admin\nx-forwarded-for: 1.1.1.1\nx-request-id: r-1\nx-trace-id: 12345678-9012-3456-7890-123456789012\naccept: a/b";
    let response = send(&gateway, request(sent)).await;
    assert_eq!(response.headers()["x-trace-id"], "12345678901234567890123456789012");
    assert_eq!(response.headers()["x-request-id"], "r-1");

    let (head, cx) = seen.lock().unwrap().pop().unwrap();
    let mut names: Vec<&str> = head.headers.keys().map(|name| name.as_str()).collect();
    names.sort();
    assert_eq!(
        names,
        ["accept", "host", "traceparent", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"]
    );
    let value = |name: &str| field(&head.headers, name)[0].to_str().unwrap();
    assert_eq!(
        (value("x-forwarded-for"), value("x-forwarded-host"), value("x-forwarded-proto")),
        ("192.0.2.7", "shop.test:3000", "https")
    );
    let span = format!("00-12345678901234567890123456789012-{:016x}-01", cx.trace.span_id);
    assert_eq!(field(&head.headers, "traceparent"), [&span]);
    assert_eq!(cx.deadline - cx.received, Duration::from_secs(10));
}

#[tokio::test]
async fn a_request_without_a_host_header_gets_that_of_its_target() {
    let seen = Seen::default();
    send(&gateway(recording(&seen)), request("GET http://h2.test/a")).await;
    assert_eq!(field(&seen.lock().unwrap()[0].0.headers, "host"), ["h2.test"]);
}

#[tokio::test]
async fn a_host_that_is_missing_repeated_odd_or_different_is_a_400() {
    let gateway = gateway(hello());
    for head in
        ["GET /\nhost: a\nhost: a", "GET /\nhost: a b", "GET http://a/\nhost: b", "GET /\nhost: u@a", "GET http://u@a/"]
    {
        assert_eq!(send(&gateway, request(head)).await.status(), 400, "{head}");
    }
    let none = Request::get("/").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(send(&gateway, none).await.status(), 400);
}

#[tokio::test]
async fn a_foreign_authority_is_a_421() {
    let own = Settings { hosts: vec!["shop.test".into(), "b.test:81".into()], ..settings() };
    let gateway = Gateway::new(table(vec![entry("/{*rest}", Methods::Any, hello())]), own);
    for (host, status) in
        [("shop.test", 200), ("SHOP.test:80", 200), ("b.test:81", 200), ("b.test", 421), ("evil.test", 421)]
    {
        assert_eq!(send(&gateway, request(&format!("GET /\nhost: {host}"))).await.status(), status, "{host}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_404_and_another_method_a_405_with_allow() {
    let gateway = Gateway::new(table(vec![entry("/a", Methods::parse(["GET", "POST"]).unwrap(), hello())]), settings());
    assert_eq!(sentence(send(&gateway, request("GET /b")).await, 404).await, "No route has this path");
    let response = send(&gateway, request("OPTIONS /a")).await;
    assert_eq!(response.headers()["allow"], "GET, HEAD, POST");
    sentence(response, 405).await;
}

#[tokio::test]
async fn a_probe_is_answered_whatever_host_it_asks_for() {
    let own = Settings { hosts: vec!["shop.test".into()], ..settings() };
    let page = |path| Entry { exempt: true, ..entry(path, Methods::parse(["GET"]).unwrap(), hello()) };
    let entries = vec![
        page("/health"),
        page("/health/ready"),
        page("/metrics"),
        entry("/{*rest}", Methods::Any, hello()),
        entry("/health/other", Methods::Any, hello()),
    ];
    let gateway = Gateway::new(table(entries), own);
    for host in ["10.1.2.3:3000", "[::1]", "localhost", "shop.test"] {
        for path in ["/health", "/health/ready"] {
            assert_eq!(send(&gateway, request(&format!("GET {path}\nhost: {host}"))).await.status(), 200, "{host}");
        }
    }
    // Nothing else is: neither the host's other pages nor what a service has below /health.
    for path in ["/metrics", "/health/other", "/health/ready/", "/"] {
        assert_eq!(send(&gateway, request(&format!("GET {path}\nhost: 10.1.2.3"))).await.status(), 421, "{path}");
    }
}

#[tokio::test]
async fn where_any_address_is_ours_a_name_still_has_to_be_named() {
    let own = Settings { hosts: vec!["ops.test".into()], any_address: true, ..settings() };
    let gateway = Gateway::new(table(vec![entry("/", Methods::Any, hello())]), own);
    let status = async |host: &str| send(&gateway, request(&format!("GET /\nhost: {host}"))).await.status().as_u16();
    for host in ["10.1.2.3:3900", "192.0.2.1", "[::1]:3900", "[2001:db8::1]", "ops.test", "OPS.test:3900"] {
        assert_eq!(status(host).await, 200, "{host}");
    }
    for host in ["evil.test", "10.1.2.3.evil.test", "localhost", "1.evil.test:3900", "ops.test.evil.test"] {
        assert_eq!(status(host).await, 421, "{host}");
    }
    // Without any name, too.
    let nameless = Settings { any_address: true, ..settings() };
    let gateway = Gateway::new(table(vec![entry("/", Methods::Any, hello())]), nameless);
    assert_eq!(send(&gateway, request("GET /\nhost: evil.test")).await.status(), 421);
}

#[tokio::test]
async fn what_a_trusted_proxy_says_reaches_the_service_in_one_form() {
    let seen = Seen::default();
    let trusting = Settings { trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()], ..settings() };
    let gateway = Gateway::new(table(vec![entry("/{*rest}", Methods::Any, recording(&seen))]), trusting);
    let sent = "x-forwarded-for: 1.1.1.1, 203.0.113.5\nx-forwarded-host: www.shop.test:8443\nx-forwarded-proto: http";
    send(&gateway, request(&format!("GET /\n{sent}"))).await;
    send(&gateway, request("GET /\nforwarded: for=203.0.113.5;proto=http;host=\"www.shop.test:8443\"")).await;
    for (head, cx) in &*seen.lock().unwrap() {
        for (name, value) in [
            ("host", "shop.test"),
            ("x-forwarded-for", "203.0.113.5"),
            ("x-forwarded-host", "www.shop.test:8443"),
            ("x-forwarded-proto", "http"),
        ] {
            assert_eq!(field(&head.headers, name), [value]);
        }
        assert!(!head.headers.contains_key("forwarded") && !cx.https);
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_tracestate_with_an_illegal_vendor_or_too_long_a_key_reaches_no_service() {
    let seen = Seen::default();
    let gateway = gateway(recording(&seen));
    let (t241, t242) = ("t".repeat(241), "t".repeat(242));
    let illegal = [
        "foo@=1,bar=2".into(),
        "@foo=1,bar=2".into(),
        "foo@@bar=1,bar=2".into(),
        "foo@bar@baz=1,bar=2".into(),
        format!("{}=1", "z".repeat(257)),
        format!("{t242}@v=1"),
        format!("t@{}=1", "v".repeat(15)),
    ];
    let legal = [format!("{}=1", "z".repeat(256)), format!("{t241}@{}=1", "v".repeat(14))];
    for state in illegal.iter().chain(&legal) {
        for parent in ["traceparent: 00-12345678901234567890123456789012-1234567890123456-00\n", ""] {
            let sent = format!("GET /\n{parent}tracestate: {state}");
            send(&gateway, request(&sent)).await;
            let (head, _) = seen.lock().unwrap().pop().unwrap();
            let passes = !parent.is_empty() && legal.contains(state);
            assert_eq!(head.headers.contains_key("tracestate"), passes, "{sent}");
        }
    }
}
