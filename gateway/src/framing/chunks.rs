//! Follows a chunked body byte by byte, without its trailers: RFC 9112 section 7.1.
//!
//! Data is skipped by length. Stricter than the grammar: no space after a size, no more than
//! 15 digits, few and short extensions.

use super::fault::Fault;

/// Hexadecimal digits in a chunk size at most; the number always fits.
const DIGITS_MAX: u8 = 15;
/// Bytes of chunk extensions in one body at most.
const EXTENSIONS_MAX: u16 = 1024;

/// One chunked body as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    state: State,
    extensions: u16,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Size { digits: u8, value: u64 },
    Extension { size: u64 },
    SizeLineFeed { size: u64 },
    Data { left: u64 },
    DataReturn,
    DataLineFeed,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { digits: 0, value: 0 }
    }
}

/// What [`Chunks::read`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// All bytes belong to the body and it goes on.
    More,
    /// The last chunk's line ended after so many bytes; trailers follow.
    Last(usize),
    /// The byte at this position is wrong.
    Bad(usize, Fault),
}

impl Chunks {
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Read {
        let mut at = 0;
        while at < bytes.len() {
            if let State::Data { left } = self.state {
                let here = left.min((bytes.len() - at) as u64);
                at += here as usize;
                self.state = if here == left { State::DataReturn } else { State::Data { left: left - here } };
                continue;
            }
            let Some(next) = self.step(bytes[at]) else {
                return Read::Bad(at, Fault::Chunk);
            };
            at += 1;
            if let State::Data { left: 0 } = next {
                return Read::Last(at);
            }
            self.state = next;
        }
        Read::More
    }

    fn step(&mut self, byte: u8) -> Option<State> {
        match (self.state, byte) {
            (State::Size { digits, value }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16)?;
                Some(State::Size { digits: digits + 1, value: value * 16 + u64::from(digit) })
            }
            (State::Size { digits: 1.., value }, b'\r') => Some(State::SizeLineFeed { size: value }),
            (State::Size { digits: 1.., value }, b';') => Some(State::Extension { size: value }),
            (State::Extension { size }, b'\r') => Some(State::SizeLineFeed { size }),
            (State::Extension { size }, b'\t' | b' '..=b'~') => {
                self.extensions += 1;
                (self.extensions <= EXTENSIONS_MAX).then_some(State::Extension { size })
            }
            (State::SizeLineFeed { size }, b'\n') => Some(State::Data { left: size }),
            (State::DataReturn, b'\r') => Some(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => Some(State::default()),
            _ => None,
        }
    }
}
