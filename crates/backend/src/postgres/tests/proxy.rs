//! Something between the host and its server: an address that leads elsewhere, a firewall that forgets.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU16, Ordering::SeqCst},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    task::{AbortHandle, JoinHandle},
};

use super::*;

pub(super) struct Proxy {
    pub(super) port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    target: AtomicU16,
    /// Of each connection: whether it swallows what comes, and what moves it.
    connections: Mutex<Vec<(Arc<AtomicBool>, [AbortHandle; 2])>>,
}

impl Proxy {
    pub(super) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { target: AtomicU16::new(target), ..Shared::default() });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self { port, shared, accepting }
    }

    /// New connections lead there.
    pub(super) fn redirect(&self, target: u16) {
        self.shared.target.store(target, SeqCst);
    }

    /// Ends those that there are.
    pub(super) fn cut(&self) {
        for (_, moving) in self.shared.connections.lock().unwrap().drain(..) {
            moving.iter().for_each(AbortHandle::abort);
        }
    }

    /// Those that there are stay open and carry nothing any more.
    pub(super) fn silence(&self) -> usize {
        let connections = self.shared.connections.lock().unwrap();
        connections.iter().for_each(|(silent, _)| silent.store(true, SeqCst));
        connections.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(("127.0.0.1", shared.target.load(SeqCst))).await else { continue };
        let silent = Arc::<AtomicBool>::default();
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        let there = tokio::spawn(carry(from_client, to_server, silent.clone())).abort_handle();
        let back = tokio::spawn(carry(from_server, to_client, silent.clone())).abort_handle();
        shared.connections.lock().unwrap().push((silent, [there, back]));
    }
}

async fn carry(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, silent: Arc<AtomicBool>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if !silent.load(SeqCst) && to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    if silent.load(SeqCst) {
        // Nobody hears of its end either.
        std::future::pending::<()>().await;
    }
}
