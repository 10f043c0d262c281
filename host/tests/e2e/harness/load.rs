//! A few clients that ask all the time, while something else happens.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use super::{Connection, End, until};

const CLIENTS: usize = 3;

/// Asks for `/` on several connections until `then` is done; every answer must be a good one. Gives how many
/// there were. A host sends a `POST` on once only, so that whoever it sends one to must answer it.
pub fn under_load<T>(at: SocketAddr, method: &str, then: impl FnOnce() -> T) -> (usize, T) {
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let done = thread::scope(|scope| {
        let _end = End(&stop);
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = Connection::open(at);
                while !stop.load(Relaxed) {
                    connection.request(method, "/", &[], b"");
                    let answer = connection.answer(false).expect("an answer to every request");
                    assert!(answer.whole && answer.status == 200, "{answer:?}");
                    answers.fetch_add(1, Relaxed);
                    thread::park_timeout(Duration::from_millis(1));
                }
            });
        }
        until("the load is on", || answers.load(Relaxed) > 50);
        then()
    });
    (answers.into_inner(), done)
}
