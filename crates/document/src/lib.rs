//! A text file that people write: the keys it has, where each stands, and what is wrong with it.
//!
//! Knows no key of any file and decides nothing: whoever reads a file brings the types that hold its
//! words, and writes the messages. Start at [`structure::read`].

pub mod name;
pub mod path;
pub mod problem;
pub mod quantity;
pub mod schema;
pub mod source;
pub mod structure;
