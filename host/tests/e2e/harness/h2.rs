//! HTTP/2 with hyper's client, over clear text or TLS; and frames by hand for what no proper
//! client sends.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};

pub type Out = BoxBody<Bytes, std::io::Error>;

/// A connection; closed when dropped, whatever is unfinished.
pub struct Client {
    sender: http2::SendRequest<Out>,
    pub connection: JoinHandle<hyper::Result<()>>,
    base: String,
}

impl Client {
    /// HTTP/2 in clear text by prior knowledge.
    pub async fn open(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.expect("connects"), format!("http://{to}")).await
    }

    pub async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, base: String) -> Self {
        let builder = http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await.expect("HTTP/2 is spoken");
        Self { sender, connection: tokio::spawn(connection), base }
    }

    pub async fn get(&mut self, path: &str) -> hyper::Result<Response<Incoming>> {
        self.send("GET", path, b"").await
    }

    pub async fn send(&mut self, method: &str, path: &str, body: &[u8]) -> hyper::Result<Response<Incoming>> {
        let body = Full::new(Bytes::copy_from_slice(body)).map_err(|never| match never {}).boxed();
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base)).body(body).unwrap();
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The whole body, or why it broke.
pub async fn whole(answer: Response<Incoming>) -> hyper::Result<Bytes> {
    Ok(answer.into_body().collect().await?.to_bytes())
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field that is not indexed, both parts as they are.
pub fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("a short field");
    [&[0, length(name.as_bytes())], name.as_bytes(), &[length(value)], value].concat()
}

/// `:method GET` and `:scheme http` of the static table, then this path and authority.
pub fn get(path: &[u8], authority: &[u8]) -> Vec<u8> {
    [vec![0x82, 0x86], field(":path", path), field(":authority", authority)].concat()
}
