//! The whole strict reader as a pure machine over bytes: heads, bodies, trailers, heads.
//!
//! [`Scanner::scan`] looks at bytes in place and says how many may go on. A head and the
//! trailers of a body are cleared only when they are whole and valid, so nobody behind this
//! ever sees part of one. No I/O, no copying, no allocation: fuzz it here.

use super::{
    chunks::{Chunks, Read},
    fault::Fault,
    head::{Framing, Head},
    line,
};

/// Bytes in the trailers of one body at most, with the empty line.
const TRAILERS_MAX: usize = 8 * 1024;
/// Trailer fields of one body at most.
const TRAILER_FIELDS_MAX: usize = 32;

/// Follows one connection's requests.
#[derive(Debug)]
pub struct Scanner(Phase);

#[derive(Debug)]
enum Phase {
    Head(Head),
    Length(u64),
    Chunks(Chunks),
    Trailers(Trailers),
    Refused,
}

#[derive(Debug, Default)]
struct Trailers {
    line: usize,
    searched: usize,
    fields: usize,
}

/// What one look at the bytes found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// So many bytes from the start may go on; the next look starts after them.
    pub cleared: usize,
    /// Whole heads among them.
    pub heads: u64,
    /// The byte after them starts, or is in, something that is refused. Final.
    pub refusal: Option<Refusal>,
}

/// Where the fault lies decides who answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// In a head: it never becomes a request, so the connection answers it.
    Head(Fault),
    /// In the body of a request that is already being handled: its handler answers.
    Body(Fault),
}

impl Default for Scanner {
    fn default() -> Self {
        Self(Phase::Head(Head::default()))
    }
}

impl Scanner {
    /// Looks at `window`: the first byte not yet cleared, and all that came after it.
    ///
    /// Call it again with the uncleared bytes and more behind them. After a refusal it
    /// clears nothing any more.
    pub fn scan(&mut self, window: &[u8]) -> Scan {
        let mut scan = Scan::default();
        loop {
            let rest = &window[scan.cleared..];
            if rest.is_empty() {
                return scan;
            }
            let next = match &mut self.0 {
                Phase::Refused => return scan,
                Phase::Head(head) => match head.read(rest) {
                    Ok(None) => return scan,
                    Ok(Some((length, framing))) => {
                        scan.cleared += length;
                        scan.heads += 1;
                        after_head(framing)
                    }
                    Err(fault) => return self.refuse(scan, Refusal::Head(fault)),
                },
                Phase::Length(left) => {
                    let here = (*left).min(rest.len() as u64);
                    scan.cleared += here as usize;
                    *left -= here;
                    if *left > 0 {
                        return scan;
                    }
                    Phase::Head(Head::default())
                }
                Phase::Chunks(chunks) => match chunks.read(rest) {
                    Read::More => {
                        scan.cleared = window.len();
                        return scan;
                    }
                    Read::Last(length) => {
                        scan.cleared += length;
                        Phase::Trailers(Trailers::default())
                    }
                    Read::Bad(at, fault) => {
                        scan.cleared += at;
                        return self.refuse(scan, Refusal::Body(fault));
                    }
                },
                Phase::Trailers(trailers) => match trailers.read(rest) {
                    Ok(None) => return scan,
                    Ok(Some(length)) => {
                        scan.cleared += length;
                        Phase::Head(Head::default())
                    }
                    Err(fault) => return self.refuse(scan, Refusal::Body(fault)),
                },
            };
            self.0 = next;
        }
    }

    /// Whether the bytes so far end between two requests, apart from uncleared ones.
    pub fn is_between_requests(&self) -> bool {
        matches!(self.0, Phase::Head(_))
    }

    fn refuse(&mut self, mut scan: Scan, refusal: Refusal) -> Scan {
        self.0 = Phase::Refused;
        scan.refusal = Some(refusal);
        scan
    }
}

fn after_head(framing: Framing) -> Phase {
    match framing {
        Framing::Length(0) => Phase::Head(Head::default()),
        Framing::Length(length) => Phase::Length(length),
        Framing::Chunked => Phase::Chunks(Chunks::default()),
    }
}

impl Trailers {
    fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        while let Some(found) = line::line_feed(&bytes[self.searched..]) {
            let end = self.searched + found;
            if end >= TRAILERS_MAX {
                return Err(Fault::Trailer);
            }
            let line = bytes[self.line..end].strip_suffix(b"\r").ok_or(Fault::BareLineFeed)?;
            self.line = end + 1;
            self.searched = end + 1;
            if line.is_empty() {
                return Ok(Some(self.line));
            }
            self.fields += 1;
            let (name, _) = line::field(line)?;
            if self.fields > TRAILER_FIELDS_MAX || is_forbidden(name) {
                return Err(Fault::Trailer);
            }
        }
        self.searched = bytes.len();
        if bytes.len() > TRAILERS_MAX { Err(Fault::Trailer) } else { Ok(None) }
    }
}

/// Fields that frame or route a message mean nothing good after it: RFC 9110 section 6.5.1.
fn is_forbidden(name: &[u8]) -> bool {
    [&b"content-length"[..], b"transfer-encoding", b"host", b"connection", b"authorization", b"te", b"trailer"]
        .iter()
        .any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}
