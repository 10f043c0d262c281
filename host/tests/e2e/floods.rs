//! Clients that break HTTP/2's rules by the thousand, and connections by the thousand: memory and
//! CPU come back.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::harness::{
    Host,
    h2::{CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, get},
    probe,
};

const MEMORY_MAX_MIB: u64 = 64;
const CONNECTIONS: usize = 20;
/// Over which the use of CPU is looked at.
const WINDOW: Duration = Duration::from_millis(200);

/// Sends `flood` on several connections at once and reads until each is closed. Returns how many
/// were told to calm down.
fn send(host: &Host, flood: &[u8]) -> usize {
    let told: Vec<bool> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let mut socket = TcpStream::connect(host.gateway).unwrap();
                    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    let mut reading = socket.try_clone().unwrap();
                    let reader = thread::spawn(move || {
                        let mut all = Vec::new();
                        let read = reading.read_to_end(&mut all);
                        let timed_out = read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
                        assert!(!timed_out, "the connection stays open");
                        all
                    });
                    let start = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
                    // It may be closed before it has taken all of it.
                    let _ = socket.write_all(&start).and_then(|()| socket.write_all(flood));
                    // GOAWAY with ENHANCE_YOUR_CALM.
                    reader.join().unwrap().windows(4).any(|bytes| bytes == [0, 0, 0, 11])
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    told.into_iter().filter(|told| *told).count()
}

/// Waits until the host is idle, a twentieth of a core at most. Returns when that began.
#[track_caller]
fn idle(host: &Host) -> Duration {
    let began = Instant::now();
    loop {
        let (before, since) = (host.cpu_ticks(), Instant::now());
        while since.elapsed() < WINDOW {
            thread::park_timeout(WINDOW);
        }
        if host.cpu_ticks() - before <= 1 {
            return since - began;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "the host never comes to rest");
    }
}

#[track_caller]
fn survives(host: &Host, what: &str, flood: &[u8]) {
    assert_eq!(host.get("/").status, 200);
    let before = host.memory_mib();
    let told = send(host, flood);
    let growth = host.memory_peak_mib().saturating_sub(before);
    let rest = idle(host);
    println!("{what}: {told} of {CONNECTIONS} told to calm down, at most +{growth} MiB, idle after {rest:?}");
    assert_eq!(host.get("/").status, 200, "after {what}");
    assert!(growth <= MEMORY_MAX_MIB, "{what}: {growth} MiB");
    assert!(told * 2 >= CONNECTIONS, "{what}: only {told} were told");
}

/// Started a second time: a first start compiles, and what that took would hide what a flood takes.
fn lean() -> Host {
    let folder = Host::probe("").stop();
    Host::running_in(folder, &probe(""))
}

#[test]
fn floods_of_frames_cost_little_and_end() {
    let host = lean();
    let authority = host.gateway.to_string();
    let head = get(b"/sleep?ms=4000", authority.as_bytes());
    let streams = (1..20_000).step_by(2);
    let resets = streams.clone().flat_map(|stream| {
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, &head), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    });
    survives(&host, "rapid reset", &resets.collect::<Vec<u8>>());

    let mut endless = frame(HEADERS, END_STREAM, 1, &head);
    endless.extend((0..100_000).flat_map(|_| frame(CONTINUATION, 0, 1, b"")));
    survives(&host, "empty continuations", &endless);

    let piece = frame(CONTINUATION, 0, 1, &[b'x'; 16_000]);
    let mut large = frame(HEADERS, END_STREAM, 1, &head);
    (0..1000).for_each(|_| large.extend(&piece));
    survives(&host, "16 MB of continuations", &large);
}

#[test]
fn a_thousand_connections_cost_little_and_leave_nothing() {
    let host = lean();
    assert_eq!(host.get("/").status, 200);
    let before = host.memory_mib();
    let open: Vec<TcpStream> = (0..1000)
        .map(|n| {
            let mut socket = TcpStream::connect(host.gateway).unwrap();
            let hello = if n % 2 == 0 { PREFACE } else { b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" };
            socket.write_all(hello).unwrap();
            socket
        })
        .collect();
    assert_eq!(host.get("/").status, 200, "beside them");
    let growth = host.memory_peak_mib().saturating_sub(before);
    drop(open);
    println!("1000 connections: at most +{growth} MiB, idle after {:?}", idle(&host));
    assert!(growth <= MEMORY_MAX_MIB, "{growth} MiB");
    assert_eq!(host.get("/").status, 200);
}
