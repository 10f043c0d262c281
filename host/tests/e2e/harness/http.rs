//! HTTP/1.1 by hand: exactly these bytes out, and whether the answer came whole.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// An answer as it was on the wire.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// False when the connection closed before the answer's end.
    pub whole: bool,
}

impl Answer {
    /// The one value of a header; panics when there are several.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "more than one `{name}`");
        first
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request and its answer on a connection of their own.
#[track_caller]
pub fn exchange(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut connection = Connection::open(to);
    connection.request(method, path, headers, body);
    connection.answer(method == "HEAD").expect("an answer")
}

/// A request that a guest is at work on: its answer has begun and goes on for as long as asked.
pub struct Held {
    connection: Connection,
    answer: Answer,
    /// What it has still to send.
    rest: &'static [u8],
}

impl Held {
    #[track_caller]
    pub fn open(to: SocketAddr, milliseconds: u32) -> Self {
        Self::with(to, &format!("/stream?chunks=2&size=1&ms={milliseconds}"))
    }

    #[track_caller]
    pub fn with(to: SocketAddr, path: &str) -> Self {
        let mut connection = Connection::open(to);
        connection.request("GET", path, &[], b"");
        Self::begun(connection, b"")
    }

    /// One that goes on until its end is asked for, however long that takes: its guest waits for the client.
    #[track_caller]
    pub fn upload(to: SocketAddr) -> Self {
        let mut connection = Connection::open(to);
        // A small body of a known length would not reach the guest before its end.
        let head = format!("POST /echo-body HTTP/1.1\r\nhost: {to}\r\ntransfer-encoding: chunked\r\n\r\n");
        connection.write(&[head.as_bytes(), b"1\r\na\r\n"].concat());
        Self::begun(connection, b"0\r\n\r\n")
    }

    #[track_caller]
    fn begun(mut connection: Connection, rest: &'static [u8]) -> Self {
        let answer = connection.begin().expect("an answer begins");
        assert_eq!(answer.status, 200, "{answer:?}");
        Self { connection, answer, rest }
    }

    /// Whether the answer came whole.
    pub fn ends_whole(mut self) -> bool {
        self.connection.write(self.rest);
        self.connection.finish(&mut self.answer);
        self.answer.whole
    }
}

/// A connection that says what a test wants it to say.
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    #[track_caller]
    pub fn open(to: SocketAddr) -> Self {
        Self::of(to, TcpStream::connect(to).expect("connects"))
    }

    fn of(to: SocketAddr, stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), host: to.to_string() }
    }

    /// `None` where nobody listens.
    pub fn try_open(to: SocketAddr) -> Option<Self> {
        TcpStream::connect(to).ok().map(|stream| Self::of(to, stream))
    }

    /// Raw bytes. An error of the other side closing is not one of ours.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Another handle, for sending while this one reads.
    pub fn writer(&self) -> TcpStream {
        self.stream.get_ref().try_clone().unwrap()
    }

    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.write(&[head.as_bytes(), body].concat());
    }

    /// The next answer; `None` when the connection closed before its head.
    pub fn answer(&mut self, head_only: bool) -> Option<Answer> {
        let mut answer = self.begin()?;
        if !head_only && !matches!(answer.status, 204 | 304) {
            self.finish(&mut answer);
        }
        Some(answer)
    }

    /// The head of the next answer, with no body yet.
    pub fn begin(&mut self) -> Option<Answer> {
        let (status, headers) = self.head().ok()?;
        Some(Answer { status, headers, body: Vec::new(), whole: true })
    }

    /// The body of an answer begun.
    pub fn finish(&mut self, answer: &mut Answer) {
        let read = match (answer.header("transfer-encoding"), answer.header("content-length")) {
            (Some("chunked"), _) => self.chunks(&mut answer.body),
            (_, Some(length)) => {
                let length: u64 = length.parse().expect("a length");
                let read = self.stream.by_ref().take(length).read_to_end(&mut answer.body);
                read.and_then(|read| if read as u64 == length { Ok(()) } else { Err(closed()) })
            }
            _ => self.stream.read_to_end(&mut answer.body).map(drop),
        };
        answer.whole = read.is_ok();
    }

    /// True when the other side has closed and sent nothing more.
    pub fn closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let first = self.line()?;
        let status = first.get(9..12).and_then(|digits| digits.parse().ok()).ok_or_else(closed)?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line.split_once(':').expect("a field");
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let size = self.line()?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or(""), 16).map_err(|_| closed())?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(());
            }
            let read = self.stream.by_ref().take(size).read_to_end(body)?;
            if read as u64 != size || !self.line()?.is_empty() {
                return Err(closed());
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(closed()),
        }
    }
}

fn closed() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
