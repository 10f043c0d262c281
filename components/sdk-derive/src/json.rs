//! JSON bodies: which member is whose, and its bounds.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::said::Said;

pub(crate) fn derived(input: &DeriveInput) -> syn::Result<TokenStream> {
    let fields = crate::named::fields(input)?;
    let said = fields.iter().map(Said::of).collect::<syn::Result<Vec<_>>>()?;
    let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let members: Vec<_> = said.iter().map(|said| &said.member).collect();
    let reads = said.iter().map(read);
    let (of, (generics, arguments, wheres)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        impl #generics ::sdk::FromJson for #of #arguments #wheres {
            const FIELDS: &'static [&'static str] = &[#(#members),*];

            fn from_json(fields: &::sdk::Fields) -> ::core::result::Result<Self, ::sdk::Error> {
                ::core::result::Result::Ok(Self { #(#names: #reads,)* })
            }
        }
    })
}

fn read(said: &Said) -> TokenStream {
    let Said { member, length, range, missing } = said;
    let length = length.as_ref().map(|length| quote!(.length(#length)));
    let range = range.as_ref().map(|range| quote!(.range(#range)));
    let missing = missing.as_ref().map(|missing| quote!(.missing(#missing)));
    quote!(::sdk::Wanted::of(fields, #member)#length #range #missing.read()?)
}
