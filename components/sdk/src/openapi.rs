//! A service's OpenAPI document, made of its own types while it is compiled.
//!
//! [`routes!`](crate::routes) is a table of routes that describes itself: paths, parameters, bodies, answers and failures
//! are read off the handlers' types. The document is a constant, and [`service!`](crate::service) puts it into the
//! component as a section that no code refers to: it costs a guest no memory and no request any time.
//!
//! Start at [`Described`], which says what a type looks like in JSON; `document.rs` has what comes out.

mod described;
mod document;
mod held;
mod known;
mod operation;
mod said;
mod schema;
mod table;
#[cfg(test)]
mod tests;
mod writer;

pub use described::Described;
pub use document::{length, written};
pub use held::{Methods, documented, existing};
pub use operation::{Api, Content, Form, Guard, Header, Operation, Parameter, Path, Place, Success, Taken};
pub use said::said;
pub use schema::{Member, Object, Schema, Words};
pub use sdk_derive::Described;
