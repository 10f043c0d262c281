//! `#[derive(FromRow)]`, `#[derive(FromJson)]` and `#[derive(Described)]` of the sdk: a struct is read field by field, by its fields' names. What
//! a field's type means is the sdk's to say; here names become code, and nothing is decided about values.

mod described;
mod doc;
mod json;
mod named;
mod row;
mod said;

use proc_macro::TokenStream;
use syn::{DeriveInput, Error, parse_macro_input};

/// Reads a struct of a row, each field of the column of its name; `#[row("other")]` names another one.
#[proc_macro_derive(FromRow, attributes(row))]
pub fn from_row(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    row::derived(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Reads a struct of a JSON object, each field of the member of its name in `camelCase`; an `Option` may be absent.
///
/// `#[json("other")]` names another member, `length = 1..=255` bounds a text's characters or a list's entries,
/// `range = 1..=100` a number, and `missing = "Give the …"` is what a client is told that left it away.
#[proc_macro_derive(FromJson, attributes(json))]
pub fn from_json(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    json::derived(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Describes a struct in an OpenAPI document, or an enum without data as a list of words: by the names that serde writes,
/// or as `#[described(body)]` by those that `FromJson` reads. `some` is a body that may not be
/// empty, `name = "…"` another name than the type's.
#[proc_macro_derive(Described, attributes(described, json))]
pub fn described(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    described::derived(&input).unwrap_or_else(Error::into_compile_error).into()
}
