//! Reads one HTTP/1.1 answer out of a buffer, as cheaply as a load generator must.
//!
//! Knows `Content-Length` and `chunked`, which is all that a keep-alive answer to a `GET` can
//! use (RFC 9112, section 6.3). It is no defence: the servers are ours.

/// What a load generator wants to know of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body_bytes: usize,
    /// Head, body and framing together: where the next answer starts.
    pub(crate) length: usize,
    /// The server will close the connection after this answer.
    pub(crate) closes: bool,
}

/// The first answer in `buffer`; `None` when it is not all there yet.
///
/// # Errors
/// Says what is wrong when the bytes can never become an answer with a known end.
pub(crate) fn parse(buffer: &[u8]) -> Result<Option<Answer>, &'static str> {
    let Some(head_length) = find(buffer, b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let head = str::from_utf8(&buffer[..head_length]).map_err(|_| "the head is not UTF-8")?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or("the status line is not HTTP/1.1")?;
    let closes = header(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let body = match (header(head, "content-length"), header(head, "transfer-encoding")) {
        (Some(length), None) => {
            let bytes = length.parse().map_err(|_| "content-length is no number")?;
            (buffer.len() - head_length >= bytes).then_some((bytes, bytes))
        }
        (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => chunked(&buffer[head_length..])?,
        _ => return Err("the answer has no length"),
    };
    Ok(body.map(|(body_bytes, framed_bytes)| Answer { status, body_bytes, length: head_length + framed_bytes, closes }))
}

/// Bytes of content and bytes on the wire of a chunked body; `None` when it is not all there.
fn chunked(body: &[u8]) -> Result<Option<(usize, usize)>, &'static str> {
    let (mut content, mut at) = (0, 0);
    while let Some(line) = find(&body[at..], b"\r\n") {
        let size = str::from_utf8(&body[at..at + line])
            .ok()
            .and_then(|line| line.split(';').next())
            .and_then(|size| usize::from_str_radix(size.trim(), 16).ok())
            .filter(|size| *size <= u32::MAX as usize)
            .ok_or("a chunk size is no number")?;
        at += line + 2;
        if size == 0 {
            return Ok(trailer(&body[at..]).map(|trailer| (content, at + trailer)));
        }
        content += size;
        at += size + 2;
        if at > body.len() {
            break;
        }
    }
    Ok(None)
}

/// Length of the trailer section with its empty line.
fn trailer(rest: &[u8]) -> Option<usize> {
    if rest.starts_with(b"\r\n") {
        return Some(2);
    }
    find(rest, b"\r\n\r\n").map(|at| at + 4)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_framing_says() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP", Some((200, 2, 40)));
        check("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Some((404, 0, 45)));
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let framed = "2\r\nhi\r\n3;x=y\r\nyou\r\n0\r\n\r\n";
        check(&format!("{head}{framed}HTTP"), Some((200, 5, head.len() + framed.len())));
        let trailed = "1\r\nx\r\n0\r\na: b\r\n\r\n";
        check(&format!("{head}{trailed}"), Some((200, 1, head.len() + trailed.len())));
    }

    #[test]
    fn half_an_answer_is_not_an_answer() {
        let whole = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        for length in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..length]), Ok(None), "{length} bytes");
        }
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", None);
    }

    #[test]
    fn an_answer_without_an_end_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n").is_err());
    }

    #[test]
    fn an_announced_close_is_seen() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert!(answer.unwrap().unwrap().closes);
    }

    #[track_caller]
    fn check(bytes: &str, expected: Option<(u16, usize, usize)>) {
        let found = parse(bytes.as_bytes()).unwrap();
        assert_eq!(found.map(|a| (a.status, a.body_bytes, a.length)), expected, "{bytes}");
    }
}
