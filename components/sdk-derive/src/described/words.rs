//! Names as serde writes them, and enums that are lists of them.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput, Error, LitStr};

/// An enum without data.
pub(super) fn derived(
    input: &DeriveInput,
    data: &DataEnum,
    name: &str,
    case: Option<&LitStr>,
) -> syn::Result<TokenStream> {
    let mut words = Vec::new();
    for variant in &data.variants {
        if !variant.fields.is_empty() || variant.attrs.iter().any(|attribute| attribute.path().is_ident("serde")) {
            return Err(Error::new_spanned(
                variant,
                "only an enum of plain words can be derived: implement `Described`",
            ));
        }
        let word = snake(&variant.ident.to_string());
        words.push(match case {
            Some(case) => renamed(&word, case)?,
            None => variant.ident.to_string(),
        });
    }
    let (of, doc) = (&input.ident, crate::doc::doc(&input.attrs));
    Ok(quote! {
        impl ::sdk::openapi::Described for #of {
            const SCHEMA: &'static ::sdk::openapi::Schema = {
                const WORDS: ::sdk::openapi::Words =
                    ::sdk::openapi::Words { name: #name, doc: #doc, words: &[#(#words),*] };
                &::sdk::openapi::Schema::Words(&WORDS)
            };
        }
    })
}

/// A name in `snake_case` as `rename_all` makes it.
pub(super) fn renamed(name: &str, case: &LitStr) -> syn::Result<String> {
    Ok(match case.value().as_str() {
        "lowercase" => name.replace('_', ""),
        "snake_case" => name.to_owned(),
        "kebab-case" => name.replace('_', "-"),
        "camelCase" => crate::said::camel(name),
        "SCREAMING_SNAKE_CASE" => name.to_uppercase(),
        _ => return Err(Error::new_spanned(case, "this case is not known here: implement `Described`")),
    })
}

/// `InTransit` is `in_transit`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, character) in name.chars().enumerate() {
        if at > 0 && character.is_uppercase() {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}
