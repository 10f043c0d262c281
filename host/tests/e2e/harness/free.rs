//! Addresses for programs that must be told where to listen, and for hosts that come back to where they were.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// Below those that the system gives to connections by itself: one of these is not taken while nobody listens there.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// On 127.0.0.1, and another one each time it is asked for.
pub fn free() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Tests of two checkouts that run at once begin at two places.
    let start = process::id().wrapping_mul(97);
    let mut ports = (0..COUNT).map(|_| FIRST + start.wrapping_add(GIVEN.fetch_add(1, Relaxed)) % COUNT);
    let is_free = |at: &SocketAddr| TcpListener::bind(at).is_ok();
    let address = |port: u32| SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap()));
    ports.find_map(|port| Some(address(port)).filter(is_free)).expect("a port is free")
}
