//! How many files and sockets the host may have open: connections never take the last ones.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
};

use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Host, archipel, exchange, h2::runtime, place, probe, until};

/// A host that a shell starts after it has set a limit.
fn limited(ulimit: &str) -> Host {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit {ulimit} && exec \"$0\" \"$@\"")).arg(archipel().get_program());
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Host::start_by(shell, place(), &probe(""), &[]).unwrap_or_else(|failed| panic!("{}\n{}", failed.errors, failed.log))
}

/// The soft and the hard limit of open files.
fn limits(host: &Host) -> (String, String) {
    let text = fs::read_to_string(format!("/proc/{}/limits", host.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap().to_owned();
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

fn open_files(host: &Host) -> usize {
    fs::read_dir(format!("/proc/{}/fd", host.id())).unwrap().count()
}

/// Connections that say nothing, from a client address of its own.
async fn silent(host: SocketAddr, from: Ipv4Addr, number: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..number {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        all.push(socket.connect(host).await.unwrap());
    }
    all
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let host = limited("-Sn 256");
    let (soft, hard) = limits(&host);
    assert_eq!(soft, hard);
    assert!(soft.parse::<u64>().unwrap() > 256, "a machine whose hard limit is 256 cannot show it");
    host.log.expect_line("\"before\":256");
}

#[test]
fn more_silent_connections_than_descriptors_leave_health_the_admin_and_others_alive() {
    let host = limited("-n 256");
    let told = host.log.expect_line("fewer connections than");
    assert!(told.contains("\"connections\":192") && told.contains("\"wanted\":4096"), "{told}");
    runtime().block_on(async {
        // From as many addresses as it takes to have all places.
        let (one, two, three) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3), Ipv4Addr::new(127, 0, 0, 4));
        let mut held = silent(host.gateway, one, 150).await;
        held.extend(silent(host.gateway, two, 150).await);
        held.extend(silent(host.gateway, three, 100).await);
        until("all places are taken", || {
            let told = exchange(host.admin, "GET", "/metrics", &[], b"").text();
            let open = told.lines().find_map(|line| line.strip_prefix("archipel_connections_open ")).unwrap();
            open.parse::<u64>().unwrap() >= 192
        });
        assert!(open_files(&host) < 256 - 16, "{} of 256", open_files(&host));
        for path in ["/health/live", "/health/ready", "/metrics"] {
            assert_eq!(exchange(host.admin, "GET", path, &[], b"").status, 200, "{path}");
        }
        assert_eq!(host.swap("probe", &crate::harness::admin::wasm("probe")).status, 200);
        drop(held);
    });
    assert_eq!(host.get("/").status, 200);
    assert!(!host.log.text().contains("accept failed"), "{}", host.log.text());
}
