//! What a type looks like in JSON: the one trait of a description.

use super::schema::Schema;

/// A type that can be described: derived, or said by hand for one that reads or writes itself.
///
/// `#[derive(Described)]` takes the names that serde writes. On what a client sends it is `#[described(body)]` and takes
/// those of [`FromJson`](crate::FromJson), with `length` and `range` as they stand in `#[json(…)]`. What a member's type
/// cannot say is added to it as JSON: `#[described(json = r#""format":"password""#)]`. Doc comments become descriptions.
/// An enum without data is a list of words.
pub trait Described {
    const SCHEMA: &'static Schema;
}
