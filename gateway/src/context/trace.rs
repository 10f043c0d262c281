//! The trace a request belongs to: W3C Trace Context level 2, and `X-Trace-Id` for clients
//! without it.
//!
//! Decides whether a caller's trace is continued or a new one started. Exporting spans is not
//! done here.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::tracestate::{self, trimmed};

pub(crate) use super::tracestate::TRACESTATE;

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// The caller may have recorded the trace, so the callees should.
const SAMPLED: u8 = 0x01;
/// The right half of the trace id is random (level 2).
const RANDOM: u8 = 0x02;
/// Bits that are passed on; others are reserved and must be zero.
const KNOWN_FLAGS: u8 = SAMPLED | RANDOM;
/// `00-` trace id `-` span id `-` flags.
const TRACEPARENT_BYTES: usize = 55;

/// W3C Trace Context level 2 as it goes on to the next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Not zero.
    pub trace_id: u128,
    /// The span of this hop; not zero.
    pub span_id: u64,
    /// The caller's span, if the request came with one.
    pub parent_id: Option<u64>,
    pub flags: u8,
    pub tracestate: Option<HeaderValue>,
}

impl TraceContext {
    /// Continues the trace a request came with, or starts a new one.
    ///
    /// A valid `traceparent` decides. Without any, a valid `X-Trace-Id` gives the trace id. An
    /// invalid or repeated `traceparent` starts a new trace and drops `tracestate`.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        match (parents.next(), parents.next()) {
            (Some(value), None) => match Parent::parse(value.as_bytes()) {
                Some(parent) => Self {
                    trace_id: parent.trace_id,
                    span_id: random_span_id(),
                    parent_id: Some(parent.span_id),
                    flags: parent.flags & KNOWN_FLAGS,
                    tracestate: tracestate::combined(headers),
                },
                None => Self::start(),
            },
            (Some(_), Some(_)) => Self::start(),
            (None, _) => match given_trace_id(headers) {
                // Whether the client chose it at random is unknown, so that flag stays off.
                Some(trace_id) => Self { trace_id, flags: SAMPLED, ..Self::start() },
                None => Self::start(),
            },
        }
    }

    /// A new trace.
    pub fn start() -> Self {
        Self {
            trace_id: fastrand::u128(1..),
            span_id: random_span_id(),
            parent_id: None,
            flags: SAMPLED | RANDOM,
            tracestate: None,
        }
    }

    /// The next hop of the same trace, with this hop as its parent.
    pub fn child(&self) -> Self {
        self.within(self.span_id)
    }

    /// A new span of the same trace, within that of `parent`.
    pub fn within(&self, parent: u64) -> Self {
        Self { span_id: random_span_id(), parent_id: Some(parent), ..self.clone() }
    }

    /// Whether the caller's trace is sampled, if there is a caller.
    pub fn parent_sampled(&self) -> Option<bool> {
        self.parent_id.map(|_| self.flags & SAMPLED != 0)
    }

    /// What callees are told of it.
    pub fn set_sampled(&mut self, sampled: bool) {
        self.flags = if sampled { self.flags | SAMPLED } else { self.flags & !SAMPLED };
    }

    /// `traceparent` for the next hop: this hop is the parent.
    pub fn traceparent(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut text[3..35], &self.trace_id.to_be_bytes());
        write_hex(&mut text[36..52], &self.span_id.to_be_bytes());
        write_hex(&mut text[53..55], &[self.flags]);
        HeaderValue::from_bytes(&text).expect("hexadecimal digits and dashes")
    }

    /// The trace id as 32 lower-case hexadecimal digits.
    pub fn trace_id_hex(&self) -> [u8; 32] {
        let mut text = [0; 32];
        write_hex(&mut text, &self.trace_id.to_be_bytes());
        text
    }
}

/// The trace id, as logs and answers show it.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.trace_id_hex()).unwrap_or_default())
    }
}

/// A `traceparent` that passed every rule of the standard.
struct Parent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl Parent {
    /// Version 00 exactly; later versions as far as 00 understands them; `ff` never.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = trimmed(text);
        let (known, more) = text.split_at_checked(TRACEPARENT_BYTES)?;
        let version = parse_hex(&known[..2])?;
        match (version, more) {
            (0xff, _) => return None,
            (_, []) => {}
            (0, [_, ..]) => return None,
            (_, [b'-', ..]) => {}
            (_, [_, ..]) => return None,
        }
        if [known[2], known[35], known[52]] != [b'-'; 3] {
            return None;
        }
        let trace_id = NonZeroU128::new(parse_hex(&known[3..35])?)?;
        let span_id = NonZeroU64::new(u64::try_from(parse_hex(&known[36..52])?).ok()?)?;
        let flags = u8::try_from(parse_hex(&known[53..])?).ok()?;
        Some(Self { trace_id: trace_id.get(), span_id: span_id.get(), flags })
    }
}

/// `X-Trace-Id`, once: 32 hexadecimal digits in any case, or a UUID; not zero.
fn given_trace_id(headers: &HeaderMap) -> Option<u128> {
    let mut values = headers.get_all(X_TRACE_ID).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = value.as_bytes();
    let mut digits = [0; 32];
    match text.len() {
        32 => digits.copy_from_slice(text),
        36 if [8, 13, 18, 23].iter().all(|&at| text[at] == b'-') => {
            let mut rest = text.iter().filter(|byte| **byte != b'-');
            digits.fill_with(|| rest.next().copied().unwrap_or_default());
        }
        _ => return None,
    }
    digits.make_ascii_lowercase();
    parse_hex(&digits).filter(|id| *id != 0)
}

fn random_span_id() -> u64 {
    fastrand::u64(1..)
}

/// At most 32 lower-case hexadecimal digits.
fn parse_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((value << 4) | u128::from(digit))
    })
}

/// A span id as 16 lower-case hexadecimal digits.
pub(crate) fn span_id_hex(span_id: u64) -> [u8; 16] {
    let mut text = [0; 16];
    write_hex(&mut text, &span_id.to_be_bytes());
    text
}

/// Two digits for each byte.
fn write_hex(into: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (place, byte) in into.chunks_exact_mut(2).zip(bytes) {
        place[0] = DIGITS[usize::from(byte >> 4)];
        place[1] = DIGITS[usize::from(byte & 0xf)];
    }
}

#[cfg(test)]
mod tests;
