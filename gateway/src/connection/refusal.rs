//! The last words on an HTTP/1 connection: the answer to bytes that never became a request,
//! then a close that lets the client read it.

use std::{fmt::Write as _, io, time::Duration};

use bytes::Bytes;
use http::{Response, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::transport::Transport;

/// How long, and how much of, what a client still sends is thrown away.
const LINGER_MAX: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: u64 = 1024 * 1024;

/// Sends `response` with `Connection: close` and closes. Ends within `write_max` and the
/// linger time.
pub(super) async fn send(transport: &mut Transport, response: Response<Bytes>, write_max: Duration) {
    let bytes = serialise(response);
    let sending = async {
        transport.write_all(&bytes).await?;
        transport.shutdown().await
    };
    match timeout(write_max, sending).await {
        Ok(Ok(())) => linger(transport).await,
        Ok(Err(error)) => tracing::debug!(%error, "refusal not sent"),
        Err(_elapsed) => tracing::debug!("refusal not sent: the client does not read"),
    }
}

/// Reads on for a while before the socket is dropped: closing with unread bytes makes TCP
/// reset the connection, and the client might lose the answer (RFC 9112 section 9.6).
pub(super) async fn linger(transport: &mut Transport) {
    let drained = async {
        let mut rest = transport.take(LINGER_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // However it ends, the socket is dropped next.
    let _: Result<io::Result<u64>, _> = timeout(LINGER_MAX, drained).await;
}

fn serialise(response: Response<Bytes>) -> Vec<u8> {
    let (mut head, body) = response.into_parts();
    for ours in [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        head.headers.remove(ours);
    }
    let mut start = format!("HTTP/1.1 {}\r\n", head.status);
    if !head.headers.contains_key(header::DATE)
        && let Ok(date) =
            jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now())
    {
        write!(start, "date: {date}\r\n").expect("writing to a string cannot fail");
    }
    write!(start, "connection: close\r\ncontent-length: {}\r\n", body.len()).expect("writing to a string cannot fail");
    let mut bytes = start.into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}
