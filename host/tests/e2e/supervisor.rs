//! A supervisor that started the host is told what it wants to know.

use std::{os::unix::net::UnixDatagram, time::Duration};

use crate::harness::{Host, place, probe};

fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).expect("something is said");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn a_supervisor_hears_that_it_is_ready_that_it_lives_and_that_it_stops() {
    let place = place();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // So far apart that there is always room for a word: a queue of ten is full at once on a machine that stands still.
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "2000000")];
    let mut host = Host::start_with(place, &probe(""), &environment).map_err(|failed| failed.errors).unwrap();
    assert_eq!(heard(&socket), "READY=1");
    assert_eq!(host.get("/").status, 200);
    assert_eq!([(); 3].map(|()| heard(&socket)), ["WATCHDOG=1"; 3], "again and again");
    host.signal("TERM");
    let stopping = std::iter::repeat_with(|| heard(&socket)).take(100).find(|word| word != "WATCHDOG=1");
    assert_eq!(stopping.as_deref(), Some("STOPPING=1"));
    assert!(host.ended().success());
}

#[test]
fn a_watchdog_of_another_process_is_not_ours() {
    let place = place();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "50000"), ("WATCHDOG_PID", "1")];
    let mut host = Host::start_with(place, &probe(""), &environment).map_err(|failed| failed.errors).unwrap();
    assert_eq!(heard(&socket), "READY=1");
    host.signal("TERM");
    assert!(host.ended().success());
    assert_eq!(heard(&socket), "STOPPING=1", "and nothing between");
}
