//! JSON, written by the compiler: once to know its length, and once more into an array of that length.

/// Writes into `N` bytes; with none it only counts.
pub(crate) struct Writer<const N: usize> {
    pub(crate) bytes: [u8; N],
    pub(crate) length: usize,
}

impl<const N: usize> Writer<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    /// As it is.
    pub(crate) const fn raw(&mut self, text: &str) {
        self.put(text.as_bytes());
    }

    /// Before every part but the first.
    pub(crate) const fn comma(&mut self, place: usize) {
        if place > 0 {
            self.raw(",");
        }
    }

    const fn put(&mut self, text: &[u8]) {
        if N > 0 {
            let (_before, rest) = self.bytes.split_at_mut(self.length);
            let (here, _after) = rest.split_at_mut(text.len());
            here.copy_from_slice(text);
        }
        self.length += text.len();
    }

    /// What stands within a JSON string.
    pub(crate) const fn escaped(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        let mut at = 0;
        while at < rest.len() {
            let escape: &[u8] = match rest[at] {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                0..=31 => b" ",
                _ => {
                    at += 1;
                    continue;
                }
            };
            let (plain, after) = rest.split_at(at);
            self.put(plain);
            self.put(escape);
            rest = after.split_at(1).1;
            at = 0;
        }
        self.put(rest);
    }

    /// A JSON string.
    pub(crate) const fn text(&mut self, text: &str) {
        self.raw("\"");
        self.escaped(text);
        self.raw("\"");
    }

    pub(crate) const fn number(&mut self, number: i64) {
        if number < 0 {
            self.raw("-");
        }
        let mut digits = [b'0'; 20];
        let (mut rest, mut from) = (number.unsigned_abs(), digits.len());
        loop {
            from -= 1;
            digits[from] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.put(digits.split_at(from).1);
    }
}
