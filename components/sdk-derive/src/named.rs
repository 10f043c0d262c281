//! A struct's fields and what they are called.

use quote::ToTokens;
use syn::{Data, DeriveInput, Error, Field, Fields, punctuated::Punctuated, token::Comma};

/// The named fields of a struct.
pub(crate) fn fields(input: &DeriveInput) -> syn::Result<&Punctuated<Field, Comma>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(&fields.named),
            other => Err(Error::new_spanned(other.to_token_stream(), "only a struct with named fields can be derived")),
        },
        _ => Err(Error::new_spanned(&input.ident, "only a struct with named fields can be derived")),
    }
}

/// A field's name without `r#`.
pub(crate) fn name(field: &Field) -> String {
    let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    name.trim_start_matches("r#").to_owned()
}
