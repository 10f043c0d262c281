//! The reader alone: its verdict never depends on how the bytes were split, and what it clears
//! is a prefix of what came.
//!
//! The first byte of the input says in how large pieces the rest comes.

#![no_main]

use gateway::framing::{Refusal, Scan, Scanner};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&seed, bytes)) = input.split_first() else { return };
    let whole = feed(bytes, || usize::MAX);
    assert_eq!(whole, feed(bytes, || 1), "byte by byte");
    let mut state = u32::from(seed) | 1;
    let pieces = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % 40 + 1
    };
    assert_eq!(whole, feed(bytes, pieces), "in pieces");
    assert!(whole.cleared <= bytes.len());
});

#[derive(Debug, Default, PartialEq)]
struct Verdict {
    cleared: usize,
    heads: u64,
    refusal: Option<Refusal>,
    between_requests: bool,
}

/// What the reader says of `bytes` when they come in pieces of these lengths.
fn feed(bytes: &[u8], mut next_length: impl FnMut() -> usize) -> Verdict {
    let mut scanner = Scanner::default();
    let mut verdict = Verdict::default();
    let mut end = 0;
    while end < bytes.len() {
        end = end.saturating_add(next_length()).min(bytes.len());
        let Scan { cleared, heads, refusal } = scanner.scan(&bytes[verdict.cleared..end]);
        verdict.cleared += cleared;
        verdict.heads += heads;
        verdict.refusal = verdict.refusal.or(refusal);
        if verdict.refusal.is_some() {
            let after = scanner.scan(&bytes[verdict.cleared..]);
            assert_eq!((after.cleared, after.heads), (0, 0), "nothing passes after a refusal");
            break;
        }
    }
    verdict.between_requests = scanner.is_between_requests();
    verdict
}
