//! A text file that people write: where each mistake in it is, what is wrong, and what to do.
//!
//! Knows no key of any file and decides nothing; whoever finds a mistake writes its message.

pub mod problem;
