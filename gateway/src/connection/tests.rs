//! Promises of a connection, kept over real sockets with a closure-like handler.

mod ending;
mod h2;
mod http1;
mod limits;
mod tls;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

use super::{Handler, Peer, Times};
use crate::{
    body::{Body, BodyError, full},
    drain::Drain,
    listener::{self, Settings},
};

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

struct Fixture<F> {
    answer: F,
    calls: Arc<AtomicUsize>,
}

impl<F> Handler for Fixture<F>
where
    F: Fn(Request<Incoming>) -> Answering + Send + Sync + 'static,
{
    fn handle(&self, _peer: Peer, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send {
        self.calls.fetch_add(1, SeqCst);
        (self.answer)(request)
    }

    fn refuse(&self, status: StatusCode, message: &str) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(format!("refused: {message}")));
        *response.status_mut() = status;
        response
    }
}

/// A running listener, closed and waited for at the end of the test.
struct Server {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    drain: Drain,
}

impl Server {
    fn start(answer: impl Fn(Request<Incoming>) -> Answering + Send + Sync + 'static) -> Self {
        Self::with(|_| {}, answer)
    }

    fn with(
        change: impl FnOnce(&mut Settings),
        answer: impl Fn(Request<Incoming>) -> Answering + Send + Sync + 'static,
    ) -> Self {
        let mut settings = Settings::new(NonZeroUsize::new(1024).unwrap());
        change(&mut settings);
        let listeners = listener::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = listeners.addresses().next().unwrap();
        let (drain, calls) = (Drain::new(), Arc::new(AtomicUsize::new(0)));
        let handler = Arc::new(Fixture { answer, calls: calls.clone() });
        tokio::spawn(listener::serve(listeners, handler, settings, drain.clone()));
        Self { address, calls, drain }
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` and gives all that comes back until the connection closes.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut socket = self.connect().await;
        socket.write_all(bytes.as_ref()).await.unwrap();
        read_to_close(&mut socket).await.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain.cut();
    }
}

/// All that comes until the close, and how it closed.
async fn read_to_close(socket: &mut TcpStream) -> (String, io::Result<()>) {
    let mut bytes = Vec::new();
    let ended = timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.expect("the server closes");
    (String::from_utf8_lossy(&bytes).into_owned(), ended.map(drop))
}

/// Reads until `end` has come.
async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut buffer = [0; 4096];
        let read = timeout(PATIENCE, socket.read(&mut buffer)).await.expect("an answer comes").unwrap();
        assert_ne!(read, 0, "closed before {end:?}: {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

fn times(limit: Duration) -> Times {
    Times { handshake: limit, head: limit, idle: limit, write_stall: limit, linger: limit }
}

fn hello(_request: Request<Incoming>) -> Answering {
    Box::pin(async { Response::new(full("hello")) })
}

/// Answers with the request's path and body.
fn echo(request: Request<Incoming>) -> Answering {
    Box::pin(async move {
        let path = request.uri().path().to_owned();
        match request.into_body().collect().await {
            Ok(body) => {
                let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
                Response::new(full(format!("{path} [{body}]")))
            }
            Err(_cut) => status(400, "body cut"),
        }
    })
}

fn status(code: u16, body: &'static str) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

/// A body of `frames`, then its end or an error.
fn frames(frames: &[&'static str], end: Result<(), BodyError>) -> Body {
    let (mut sender, body) = http_body_util::channel::Channel::<Bytes, BodyError>::new(16);
    for frame in frames {
        let Ok(()) = sender.try_send(http_body::Frame::data(Bytes::from_static(frame.as_bytes()))) else {
            panic!("the channel has room");
        };
    }
    if let Err(error) = end {
        sender.abort(error);
    }
    body.boxed_unsync().into()
}

/// Waits until `ready` says so.
async fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let waiting = async {
        while !ready() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_elapsed| panic!("never: {what}"));
}

/// A handler that waits for `go`, then says hello.
fn held(go: Arc<Notify>) -> impl Fn(Request<Incoming>) -> Answering + Send + Sync + 'static {
    move |_request| {
        let go = go.clone();
        Box::pin(async move {
            go.notified().await;
            Response::new(full("hello"))
        })
    }
}
