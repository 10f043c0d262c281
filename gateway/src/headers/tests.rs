//! Exact lists of what passes and what does not.

use super::*;

#[test]
fn hop_by_hop_fields_and_what_connection_names_do_not_pass() {
    check(
        strip_hop_by_hop,
        "connection: close, X-Hop ,keep-alive\nx-hop: 1\nkeep-alive: timeout=5\nproxy-authorization: b\nproxy-connection: c\nproxy-x: d\ntransfer-encoding: chunked\ntrailer: x\nupgrade: h2c\nhttp2-settings: a\nte: gzip\naccept: a\nx-hops: 2",
        "accept: a\nx-hops: 2",
    );
    check(strip_hop_by_hop, "connection: te\nte: gzip;q=1, trailers", "te: trailers");
    check(strip_hop_by_hop, "te: x-trailers", "");
    check(strip_hop_by_hop, "connection: a\nconnection: b\na: 1\nb: 2\nb: 3\nc: 4", "c: 4");
}

#[test]
fn connection_cannot_remove_what_gives_a_request_its_meaning() {
    let kept = "authorization: t\ncontent-length: 3\ncontent-type: a/b\ncookie: c\nhost: h\nidempotency-key: k\ntraceparent: x\nx-request-id: r";
    let names: Vec<&str> = kept.lines().map(|line| line.split_once(':').unwrap().0).collect();
    check(strip_hop_by_hop, &format!("connection: {}\n{kept}", names.join(", ")), kept);
}

#[test]
fn a_client_cannot_say_who_it_is_or_where_it_comes_from() {
    check(
        clean_request,
        "X-User-Id: 1\nx-user-roles: admin\nx-user-anything: 1\nx-source-service: orders\nforwarded: for=1\nx-forwarded-for: 1\nx-forwarded-port: 1\nx-real-ip: 1\nx-trace-id: 1\nx-users: kept\nauthorization: kept",
        "authorization: kept\nx-users: kept",
    );
    check(clean_request, "connection: x-user-id\nx-user-id: 1", "");
}

#[test]
fn a_service_cannot_set_the_gateways_marks() {
    check(
        clean_answer,
        "x-service: 1\nx-service-version: 1\nx-trace-id: 1\nx-request-id: 1\nx-user-id: 1\nconnection: keep-alive\ntransfer-encoding: chunked\nte: trailers\nset-cookie: a\nlocation: /",
        "location: /\nset-cookie: a",
    );
}

#[test]
fn a_content_length_is_one_number() {
    for (sent, expected) in [
        ("", Ok(None)),
        ("content-length: 5", Ok(Some(5))),
        ("content-length: +5", Err(())),
        ("content-length: 5\ncontent-length: 5", Err(())),
        ("content-length: ", Err(())),
        ("content-length: 99999999999999999999", Err(())),
    ] {
        assert_eq!(content_length(&map(sent)).map_err(drop), expected, "{sent}");
    }
}

#[test]
fn a_mapped_address_is_written_as_ipv4() {
    for (address, written) in [
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::1", "::1"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        assert_eq!(AddressText::of(address.parse().unwrap()).as_str(), written);
    }
}

#[track_caller]
fn check(change: fn(&mut HeaderMap), before: &str, after: &str) {
    let mut headers = map(before);
    change(&mut headers);
    let mut left: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    left.sort();
    assert_eq!(left.join("\n"), after);
}

fn map(lines: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}
