//! Protocol buffers as they are written: fields of a message one after the other, into one buffer.
//!
//! Knows nothing of OTLP. What proto3 leaves out (zeros, empty texts) is left out by whoever writes.

/// How the bytes of a field are to be read.
#[derive(Clone, Copy)]
enum Kind {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    Fixed32 = 5,
}

/// What says that a field has a length, in its tag.
pub(crate) const LENGTH: u8 = Kind::Length as u8;

/// A message as far as it is written.
#[derive(Debug, Default)]
pub(crate) struct Wire(Vec<u8>);

/// Room for the length of most messages within a message: from 128 to 16 383 bytes.
const LENGTH_USUAL: usize = 2;
/// The same of those that hold many: up to 2 MiB.
const LENGTH_LONG: usize = 3;

impl Wire {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    #[inline]
    fn tag(&mut self, field: u32, kind: Kind) {
        self.varint(u64::from(field << 3 | kind as u32));
    }

    #[inline]
    pub(crate) fn uint(&mut self, field: u32, value: u64) {
        self.tag(field, Kind::Varint);
        self.varint(value);
    }

    #[inline]
    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, Kind::Fixed64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    #[inline]
    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, Kind::Fixed32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Bytes, a text, or a message that is written already.
    #[inline]
    pub(crate) fn field(&mut self, field: u32, bytes: &[u8]) {
        self.begin(field, bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// A field of as many bytes begins: they are what is written next.
    #[inline]
    pub(crate) fn begin(&mut self, field: u32, length: usize) {
        self.tag(field, Kind::Length);
        self.varint(length as u64);
    }

    /// Goes on with what has begun.
    #[inline]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A message whose length is known when it is written.
    #[inline]
    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.measured::<LENGTH_USUAL>(field, write);
    }

    /// The same of a message that holds many.
    pub(crate) fn long_message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.measured::<LENGTH_LONG>(field, write);
    }

    /// With room for a length of as many bytes, which is right most times.
    #[inline]
    fn measured<const ROOM: usize>(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.tag(field, Kind::Length);
        let at = self.0.len();
        self.0.extend_from_slice(&[0; ROOM]);
        write(self);
        let length = self.0.len() - at - ROOM;
        if size(length as u64) != ROOM {
            let mut written = Self::default();
            written.varint(length as u64);
            self.0.splice(at..at + ROOM, written.0);
            return;
        }
        for (place, byte) in self.0[at..at + ROOM].iter_mut().enumerate() {
            let more = if place + 1 < ROOM { 0x80 } else { 0 };
            *byte = (length >> (7 * place)) as u8 & 0x7f | more;
        }
    }
}

/// Bytes of a number.
#[inline]
pub(crate) fn size(value: u64) -> usize {
    // Seven bits a byte; zero has one.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Bytes of a field of so many bytes, its tag (of one byte: fields below 16) and its length included.
#[inline]
pub(crate) fn field_size(length: usize) -> usize {
    1 + size(length as u64) + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_as_many_bytes_as_is_said() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), 1 << 62, 1 << 63, u64::MAX] {
            let mut wire = Wire::default();
            wire.varint(value);
            assert_eq!(wire.len(), size(value), "{value}");
        }
    }

    #[test]
    fn a_message_of_any_length_has_the_shortest_length_before_it() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let (mut inside, mut known) = (Wire::default(), Wire::default());
            inside.message(1, |wire| wire.raw(&vec![7; length]));
            known.field(1, &vec![7; length]);
            assert_eq!(known.len(), field_size(length));
            let mut long = Wire::default();
            long.long_message(1, |wire| wire.raw(&vec![7; length]));
            let known = known.into_bytes();
            assert_eq!(inside.into_bytes(), known, "{length}");
            assert_eq!(long.into_bytes(), known, "{length}");
        }
    }
}
