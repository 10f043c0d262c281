//! Servers that say exactly these bytes, in HTTP/1.1 and in HTTP/2, and remember what they were sent.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use super::h2::{HEADERS, PREFACE, SETTINGS, frame};

/// One step of an answer.
#[derive(Clone)]
pub enum Step {
    Say(Vec<u8>),
    /// Long enough for what was said to have arrived.
    Wait,
    /// The connection is torn down, not closed.
    Reset,
    /// Until the other side is gone.
    Stay,
}

pub const WAIT: Duration = Duration::from_millis(60);
const PATIENCE: Duration = Duration::from_secs(20);

pub fn say(text: impl AsRef<[u8]>) -> Step {
    Step::Say(text.as_ref().to_vec())
}

/// Answers each connection's first request with the steps, and closes it.
pub struct Scripted {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
    open: Arc<AtomicUsize>,
}

impl Scripted {
    /// HTTP/1.1; `whole`: not before the request has come whole.
    pub fn http1(steps: Vec<Step>, whole: bool) -> Self {
        Self::start(move |socket, received| {
            if read_request(socket, received, whole).is_some() {
                play(socket, &steps);
            }
        })
    }

    /// HTTP/2 by prior knowledge; the steps are frames of stream 1.
    pub fn http2(steps: Vec<Step>) -> Self {
        Self::start(move |socket, _received| {
            let mut preface = [0; PREFACE.len()];
            let greeted =
                socket.read_exact(&mut preface).is_ok() && socket.write_all(&frame(SETTINGS, 0, 0, &[])).is_ok();
            while let Some((kind, flags)) = greeted.then(|| read_frame(socket)).flatten() {
                match (kind, flags & 1) {
                    (SETTINGS, 0) => _ = socket.write_all(&frame(SETTINGS, 1, 0, &[])),
                    (HEADERS, _) => return play(socket, &steps),
                    _ => {}
                }
            }
        })
    }

    fn start(serve: impl Fn(&mut TcpStream, &Mutex<Vec<u8>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (received, open) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let (serve, of, counted) = (Arc::new(serve), Arc::clone(&received), open.clone());
        thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let (serve, of, counted) = (serve.clone(), Arc::clone(&of), counted.clone());
                counted.fetch_add(1, Relaxed);
                thread::spawn(move || {
                    socket.set_read_timeout(Some(PATIENCE)).unwrap();
                    serve(&mut socket, &of);
                    counted.fetch_sub(1, Relaxed);
                });
            }
        });
        Self { address, received, open }
    }

    /// All bytes that it was sent, and whether its connections have ended.
    pub fn received(&self) -> (Vec<u8>, bool) {
        let has_ended = self.open.load(Relaxed) == 0;
        (self.received.lock().unwrap().clone(), has_ended)
    }
}

/// None: the connection ended before.
fn read_request(socket: &mut TcpStream, received: &Mutex<Vec<u8>>, whole: bool) -> Option<()> {
    let mut request = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        let read = socket.read(&mut piece).ok().filter(|read| *read > 0)?;
        received.lock().unwrap().extend(&piece[..read]);
        request.extend(&piece[..read]);
        let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
        let body = &request[end + 4..];
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        let is_whole = match length {
            Some(length) => body.len() >= length,
            None => !head.contains("transfer-encoding: chunked") || body.ends_with(b"0\r\n\r\n"),
        };
        if !whole || is_whole {
            return Some(());
        }
    }
}

fn read_frame(socket: &mut TcpStream) -> Option<(u8, u8)> {
    let mut head = [0; 9];
    socket.read_exact(&mut head).ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    socket.read_exact(&mut payload).ok()?;
    Some((head[3], head[4]))
}

fn play(socket: &mut TcpStream, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Say(bytes) if socket.write_all(bytes).is_ok() => {}
            Step::Say(_) => return,
            Step::Wait => thread::park_timeout(WAIT),
            Step::Reset => return rustix::net::sockopt::set_socket_linger(&*socket, Some(Duration::ZERO)).unwrap(),
            Step::Stay => return drain(socket),
        }
    }
    // Its end is said first, and what still comes is taken: unread bytes would tear down what was said.
    let _gone_already = socket.shutdown(std::net::Shutdown::Write);
    drain(socket);
}

fn drain(socket: &mut TcpStream) {
    let mut rest = [0; 16 << 10];
    loop {
        match socket.read(&mut rest) {
            Ok(read) if read > 0 => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}
