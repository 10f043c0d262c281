//! The last words on an HTTP/1 connection: the answer to bytes that never became a request,
//! and a close that lets a client read its answer though it is still sending.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{Response, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::{
    times::{Times, parting},
    transport::Transport,
};
use crate::drain::Drain;

/// How much of what a client still sends is thrown away: more than most limits of a body, for
/// many clients look for an answer only when all of it is sent.
const LINGER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long a client that sends nothing more may take to read its answer.
const LINGER_SILENCE_MAX: Duration = Duration::from_secs(5);
const LINGER_BUFFER: usize = 16 * 1024;

/// Sends `response` with `Connection: close` and closes. Ends within `times`.
pub(super) async fn send(transport: &mut Transport, response: Response<Bytes>, times: &Times, drain: &Drain) {
    let bytes = serialise(response);
    let sending = async {
        transport.write_all(&bytes).await?;
        transport.shutdown().await
    };
    match timeout(times.write_stall, sending).await {
        Ok(Ok(())) => linger(transport, times, drain).await,
        Ok(Err(error)) => tracing::debug!(%error, "refusal not sent"),
        Err(_elapsed) => tracing::debug!("refusal not sent: the client does not read"),
    }
}

/// Reads on for a while before the socket is dropped: closing with unread bytes makes TCP
/// reset the connection, and the client might lose the answer (RFC 9112 section 9.6).
///
/// However it ends, the socket is dropped next: when the client closes, sends too much, is
/// silent, after `times.linger`, or when a drain has started.
pub(super) async fn linger(transport: &mut Transport, times: &Times, drain: &Drain) {
    let silence_max = LINGER_SILENCE_MAX.min(times.linger);
    let thrown_away = async {
        let mut buffer = vec![0; LINGER_BUFFER];
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            match timeout(silence_max, transport.read(&mut buffer)).await {
                Ok(Ok(read)) if read > 0 => left = left.saturating_sub(read as u64),
                _ => return,
            }
        }
    };
    tokio::select! {
        () = thrown_away => {}
        () = sleep(times.linger) => {}
        () = parting(drain) => {}
    }
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
