//! What one connection knows about itself: counts that its socket, its requests and its
//! driver share. Relaxed counters only; whoever changes one also wakes the driver, because
//! the change happens inside the driver's poll or ends in a write on its socket.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use http::Request;

use super::client::Client;

#[derive(Debug, Default)]
pub(super) struct State {
    started: AtomicU64,
    ended: AtomicU64,
    answered: AtomicU64,
    cut: AtomicU64,
    written: AtomicU64,
    write_blocked: AtomicBool,
    shut: AtomicBool,
    looks_whole: AtomicBool,
    client: OnceLock<Client>,
}

impl State {
    /// Requests that reached the handler.
    pub(super) fn started(&self) -> u64 {
        self.started.load(Relaxed)
    }

    /// Requests whose answer ended, or was given up.
    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    /// Requests whose answer has left to the last byte (HTTP/1).
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Requests that ended without a whole answer.
    pub(super) fn cut(&self) -> u64 {
        self.cut.load(Relaxed)
    }

    /// Who has shown a certificate.
    pub(super) fn is_of(&self, client: Client) {
        let _once = self.client.set(client);
    }

    /// Tells whoever answers a request whom that certificate names, while it is good.
    pub(super) fn introduce<B>(&self, request: &mut Request<B>) {
        if let Some(names) = self.client.get().and_then(Client::names) {
            request.extensions_mut().insert(names.clone());
        }
    }

    /// Bytes taken by the socket.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// The last write could not move a byte.
    pub(super) fn is_write_blocked(&self) -> bool {
        self.write_blocked.load(Relaxed)
    }

    /// The sending side is closed or closing.
    pub(super) fn is_shut(&self) -> bool {
        self.shut.load(Relaxed)
    }

    /// An answer broke that only the connection's end delimits: an orderly close would make
    /// it look complete.
    pub(super) fn looks_whole(&self) -> bool {
        self.looks_whole.load(Relaxed)
    }

    pub(super) fn broke_close_delimited(&self) {
        self.looks_whole.store(true, Relaxed);
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
        self.write_blocked.store(false, Relaxed);
    }

    pub(super) fn write_blocked(&self) {
        self.write_blocked.store(true, Relaxed);
    }

    /// Everything hyper had to write is with the kernel.
    pub(super) fn flushed(&self) {
        self.write_blocked.store(false, Relaxed);
        self.answered.store(self.ended(), Relaxed);
    }

    pub(super) fn shut(&self) {
        self.shut.store(true, Relaxed);
    }
}

/// One request, from the call of the handler to the end of its answer.
#[derive(Debug)]
pub(super) struct Exchange {
    state: Arc<State>,
    whole: bool,
}

impl Exchange {
    pub(super) fn start(state: &Arc<State>) -> Self {
        state.started.fetch_add(1, Relaxed);
        Self { state: state.clone(), whole: false }
    }

    /// The whole answer has been handed over.
    pub(super) fn complete(&mut self) {
        self.whole = true;
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.state.ended.fetch_add(1, Relaxed);
        if !self.whole {
            self.state.cut.fetch_add(1, Relaxed);
        }
    }
}
