//! Rows: which column is whose.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Field, LitStr};

pub(crate) fn derived(input: &DeriveInput) -> syn::Result<TokenStream> {
    let fields = crate::named::fields(input)?;
    let columns = fields.iter().map(column).collect::<syn::Result<Vec<_>>>()?;
    let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let list = columns.join(", ");
    let (of, (generics, arguments, wheres)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        impl #generics ::sdk::postgres::FromRow for #of #arguments #wheres {
            const COLUMNS: &'static str = #list;

            fn from_row(row: &::sdk::postgres::Row<'_>) -> ::core::result::Result<Self, ::sdk::postgres::Error> {
                ::core::result::Result::Ok(Self { #(#names: row.get(#columns)?,)* })
            }
        }
    })
}

fn column(field: &Field) -> syn::Result<String> {
    match field.attrs.iter().find(|attribute| attribute.path().is_ident("row")) {
        Some(attribute) => attribute.parse_args::<LitStr>().map(|name| name.value()),
        None => Ok(crate::named::name(field)),
    }
}
