//! The functions, files and lines behind places in a component's code.
//!
//! A component is smaller without them: [`strip`] takes them out, and what it leaves of the file beside is what
//! [`lines()`] reads. A place is one in the code alone, so that it is the same in both. Nothing here runs a
//! component or decides whether it is a good one.

mod known;
mod lines;
mod strip;
mod wasm;

pub use known::Lines;
pub use lines::{Line, Place, lines};
pub use strip::{is_of, only_names, strip};
pub use wasm::Broken;
