//! Follows one request head line by line and says how its body is framed.
//!
//! A line is judged only when its line feed has arrived and limits only by position, so the
//! verdict never depends on how the bytes were split into reads.

use std::ops::Range;

use super::{
    fault::Fault,
    line::{self, METHOD_MAX, TARGET_MAX},
};

/// Bytes in a head at most, from the request line to the empty line.
pub const HEAD_MAX: usize = 64 * 1024;
/// Fields in a head at most.
pub const FIELDS_MAX: usize = 100;
/// A longer line cannot be a request line within its limits.
const REQUEST_LINE_MAX: usize = METHOD_MAX + TARGET_MAX + " ".len() * 2 + "HTTP/1.1\r".len();

/// How the body after a head is framed: RFC 9112 section 6.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes; often none.
    Length(u64),
    Chunked,
}

/// One head as far as it has come. Positions count from its first byte.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// Where the first unjudged line starts.
    line: usize,
    /// Up to where that line holds no line feed.
    searched: usize,
    skipped_empty_line: bool,
    request: Option<Request>,
    fields: usize,
    host: Option<Range<usize>>,
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug)]
struct Request {
    http_11: bool,
    authority: Option<Range<usize>>,
}

impl Head {
    /// Reads on in `bytes`, which must start at the head's first byte and hold at least what
    /// it held last time. Gives the head's length and its body's framing once it is whole.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Option<(usize, Framing)>, Fault> {
        // What cannot start a request need not wait for its line feed: TLS on a plain port.
        if self.line == 0 && bytes.first().is_some_and(|byte| *byte != b'\r' && !line::is_token(&[*byte])) {
            return Err(Fault::RequestLine);
        }
        while let Some(found) = line::line_feed(&bytes[self.searched..]) {
            let end = self.searched + found;
            self.check_limits(bytes, end, end + 1)?;
            let line = bytes[self.line..end].strip_suffix(b"\r").ok_or(Fault::BareLineFeed)?;
            let whole = self.judge(bytes, line)?;
            self.line = end + 1;
            self.searched = end + 1;
            if whole {
                return Ok(Some((self.line, self.framing(bytes)?)));
            }
        }
        self.searched = bytes.len();
        self.check_limits(bytes, bytes.len(), bytes.len())?;
        Ok(None)
    }

    fn check_limits(&self, bytes: &[u8], line_end: usize, head_end: usize) -> Result<(), Fault> {
        if self.request.is_none() && line_end - self.line > REQUEST_LINE_MAX {
            let has_method = bytes[self.line..].iter().take(METHOD_MAX + 1).any(|byte| *byte == b' ');
            return Err(if has_method { Fault::TargetTooLong } else { Fault::Method });
        }
        if head_end > HEAD_MAX {
            return Err(Fault::HeadTooLarge);
        }
        Ok(())
    }

    /// Judges one line without its CRLF; true at the end of the head.
    fn judge(&mut self, bytes: &[u8], line: &[u8]) -> Result<bool, Fault> {
        if line.contains(&b'\r') {
            return Err(Fault::BareCarriageReturn);
        }
        match (self.request.is_some(), line.is_empty()) {
            // One empty line before a request is ignored: RFC 9112 section 2.2.
            (false, true) if !self.skipped_empty_line => self.skipped_empty_line = true,
            (false, true) => return Err(Fault::RequestLine),
            (false, false) => {
                let request = line::request_line(line)?;
                let authority = request.authority.map(|part| range_in(bytes, part));
                self.request = Some(Request { http_11: request.http_11, authority });
            }
            (true, true) => return Ok(true),
            (true, false) => self.judge_field(bytes, line)?,
        }
        Ok(false)
    }

    fn judge_field(&mut self, bytes: &[u8], line: &[u8]) -> Result<(), Fault> {
        let (name, value) = line::field(line)?;
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(Fault::TooManyFields);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.host.is_some() || !line::is_authority(value) {
                    return Err(Fault::Host);
                }
                self.host = Some(range_in(bytes, value));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    return Err(Fault::ContentLength);
                }
                self.length = Some(line::number(value, 18).ok_or(Fault::ContentLength)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::TransferEncoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// What only a whole head can tell.
    fn framing(&self, bytes: &[u8]) -> Result<Framing, Fault> {
        let request = self.request.as_ref().expect("a head ends only after its request line");
        let authority_fits = match (&self.host, &request.authority) {
            (None, _) => !request.http_11,
            (Some(_), None) => true,
            (Some(host), Some(authority)) => bytes[host.clone()].eq_ignore_ascii_case(&bytes[authority.clone()]),
        };
        if !authority_fits {
            return Err(Fault::Host);
        }
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Fault::TwoFramings),
            (None, true) if !request.http_11 => Err(Fault::TransferEncoding),
            (None, true) => Ok(Framing::Chunked),
            (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// Where `part`, a slice of `whole`, lies in it.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}
