//! Something between a host and its server: an address that leads elsewhere, a cable that is cut, a firewall that
//! forgets.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// A TCP proxy on 127.0.0.1 that ends with the test's process.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: AtomicU16,
    /// In milliseconds, before each piece is passed on.
    delay: AtomicU64,
    connections: Mutex<Vec<Connection>>,
}

/// Both of its ends, and whether it swallows what comes.
struct Connection {
    ends: [TcpStream; 2],
    silent: Arc<AtomicBool>,
}

impl Proxy {
    /// To a port of this machine.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (target, delay, connections) = (AtomicU16::new(target), AtomicU64::new(0), Mutex::default());
        let shared = Arc::new(Shared { target, delay, connections });
        let accepting = shared.clone();
        thread::spawn(move || listener.incoming().flatten().for_each(|client| accepting.accept(client)));
        Self { port, shared }
    }

    /// New connections lead there; those that there are stay where they are.
    pub fn redirect(&self, target: u16) {
        self.shared.target.store(target, SeqCst);
    }

    /// Ends those that there are.
    pub fn cut(&self) {
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            connection.ends.iter().for_each(|end| _ = end.shutdown(Shutdown::Both));
        }
    }

    /// Those that there are stay open and carry nothing any more.
    pub fn silence(&self) {
        let connections = self.shared.connections.lock().unwrap();
        connections.iter().for_each(|connection| connection.silent.store(true, SeqCst));
    }

    /// Every piece takes so long from now on, in each direction.
    pub fn delay(&self, by: Duration) {
        self.shared.delay.store(by.as_millis().try_into().unwrap(), SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, client: TcpStream) {
        // One that is being accepted is cut or silenced like those that there are, or leads where new ones do.
        let mut connections = self.connections.lock().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], self.target.load(SeqCst)));
        let Ok(server) = TcpStream::connect(address) else { return };
        let silent = Arc::<AtomicBool>::default();
        for end in [&client, &server] {
            end.set_nodelay(true).unwrap();
        }
        let pairs = [(&client, &server), (&server, &client)];
        for (from, to) in pairs.map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap())) {
            let (shared, silent) = (self.clone(), silent.clone());
            thread::spawn(move || shared.carry(from, to, &silent));
        }
        connections.push(Connection { ends: [client, server], silent });
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            thread::sleep(Duration::from_millis(self.delay.load(SeqCst)));
            if !silent.load(SeqCst) && to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        // Of a silent one nobody hears the end either.
        if !silent.load(SeqCst) {
            let _ = to.shutdown(Shutdown::Both);
        }
    }
}
