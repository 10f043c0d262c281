//! Raw TCP and UDP: only to where `net` leads, whatever the address is called.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    thread,
};

use crate::harness::{Host, Upstream, upstream::quoted};

fn manifest(net: &str) -> String {
    format!(
        "[services.dialler]\ncomponent = \"COMPONENTS/probe_sockets.wasm\"\n\
         permissions = {{ sockets = true, net = {net} }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"dialler\"\npublic = true\n"
    )
}

fn dialler(net: &str) -> Host {
    Host::running(&manifest(net))
}

#[track_caller]
fn ask(host: &Host, what: &str, to: &str, more: &str) -> (u16, String) {
    let answer = host.get(&format!("/{what}?to={}{more}", quoted(to)));
    (answer.status, answer.text().trim().to_owned())
}

/// Answers each datagram with itself.
fn echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 2048];
        while let Ok((count, from)) = socket.recv_from(&mut bytes) {
            socket.send_to(&bytes[..count], from).unwrap();
        }
    });
    address
}

#[test]
fn a_granted_address_is_reached_over_tcp_and_udp_and_by_a_granted_name() {
    let (upstream, echo) = (Upstream::answering("hello"), echo());
    let port = upstream.address.port();
    let host = dialler(&format!("[\"127.0.0.1:{port}\", \"localhost:{port}\", \"{echo}\"]"));
    let request = format!("&send={}", quoted("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    for to in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        let (status, told) = ask(&host, "connect", &to, &request);
        assert!(status == 200 && told.contains("hello"), "{to}: {status} {told}");
    }
    let (status, told) = ask(&host, "udp", &echo.to_string(), "&send=echo");
    assert_eq!((status, told), (200, format!("echo from {echo}")));
}

#[test]
fn an_address_is_reached_by_a_granted_name_alone() {
    let upstream = Upstream::answering("hello");
    let port = upstream.address.port();
    let host = dialler(&format!("[\"localhost:{port}\"]"));
    let (status, told) = ask(&host, "connect", &format!("localhost:{port}"), "");
    assert_eq!((status, told.as_str()), (200, "connected"));
    // Another request, another instance: nobody looked the name up there.
    let (status, told) = ask(&host, "connect", &format!("127.0.0.1:{port}"), "");
    assert!(status == 403 && told.contains("Permission denied"), "{status} {told}");
}

#[test]
fn what_net_does_not_open_is_denied_at_the_call_and_the_log_names_the_line() {
    let elsewhere = Upstream::answering("hello");
    let (granted, address) = (Upstream::answering("granted"), elsewhere.address);
    let host = dialler(&format!("[\"{}\", \"http://{address}\"]", granted.address));
    let (status, told) = ask(&host, "connect", &address.to_string(), "");
    assert!(status == 403 && told.contains("Permission denied"), "{status} {told}");
    let line = host.log.expect_field("allow", &format!("net = [\"{address}\"]"));
    assert_eq!((&line["service"], &line["target"]), (&"dialler".into(), &address.to_string().into()), "{line}");
    for (what, to) in
        [("udp", address.to_string()), ("lookup", "example.com:80".into()), ("lookup", "users.internal:80".into())]
    {
        assert_eq!(ask(&host, what, &to, "").0, 403, "{what} {to}");
    }
    host.log.expect_field("allow", "net = [\"example.com:PORT\"]");
    assert_eq!(elsewhere.connections(), 0, "nothing may leave the host");
}

#[test]
fn no_spelling_of_this_machine_gets_past_a_grant_for_everything_else() {
    let here = Upstream::answering("hello");
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let here_too = everywhere.local_addr().unwrap().port();
    let host = dialler("{ allow = [\"0.0.0.0/0\", \"[::/0]\", \"*.example.com\"], deny = [\"https://localhost\"] }");
    for port in [here.address.port(), here_too] {
        for place in [
            "127.0.0.1",
            "127.1.2.3",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[::7f00:1]",
            "localhost",
            "LOCALHOST.",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "169.254.169.254",
        ] {
            for what in ["connect", "udp"] {
                let (status, told) = ask(&host, what, &format!("{place}:{port}"), "");
                assert_eq!(status, 403, "{what} {place}: {told}");
            }
        }
    }
    everywhere.set_nonblocking(true).unwrap();
    assert!(everywhere.accept().is_err() && here.connections() == 0, "nothing came");
}

#[test]
fn a_component_binds_to_send_only_and_never_listens() {
    let host = dialler("[\"127.0.0.1\"]");
    assert_eq!(ask(&host, "bind", "0.0.0.0:0", "").0, 200);
    assert_eq!(ask(&host, "bind", "[::]:0", "").0, 200);
    for own in ["127.0.0.1:0", "0.0.0.0:40053", "[::1]:0"] {
        assert_eq!(ask(&host, "bind", own, "").0, 403, "{own}");
    }
    assert_eq!(host.get("/listen").status, 403);
    host.log.expect_line("it does not listen");
}

#[test]
fn an_instance_has_only_so_many_sockets_and_gives_them_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((socket, _)) = listener.accept() {
            open.push(socket);
        }
    });
    let host = dialler(&format!("[\"{address}\"]"));
    // More often than the service has sockets, if they were not given back.
    for _ in 0..6 {
        let (status, told) = ask(&host, "many", &address.to_string(), "");
        let count: usize = told.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{told}"));
        assert!(status == 200 && count == 64, "{status} {told}");
    }
    assert!(!accepting.is_finished());
}
