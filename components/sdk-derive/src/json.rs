//! JSON bodies: which member is whose, and its bounds.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    DeriveInput, Error, Expr, Field, Ident, LitStr, Token,
    parse::{Parse, ParseStream},
};

pub(crate) fn derived(input: &DeriveInput) -> syn::Result<TokenStream> {
    let fields = crate::named::fields(input)?;
    let said = fields.iter().map(Said::of).collect::<syn::Result<Vec<_>>>()?;
    let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let members: Vec<_> = said.iter().map(|said| &said.member).collect();
    let reads = said.iter().map(Said::read);
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

/// What is said of one field.
#[derive(Default)]
struct Said {
    member: String,
    length: Option<Expr>,
    range: Option<Expr>,
    missing: Option<LitStr>,
}

impl Said {
    fn of(field: &Field) -> syn::Result<Self> {
        let mut said = Self { member: camel(&crate::named::name(field)), ..Self::default() };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("json")) {
            let Parts(parts) = attribute.parse_args()?;
            for part in parts {
                match part {
                    Part::Member(name) => said.member = name.value(),
                    Part::Length(range) => said.length = Some(range),
                    Part::Range(range) => said.range = Some(range),
                    Part::Missing(sentence) => said.missing = Some(sentence),
                }
            }
        }
        Ok(said)
    }

    fn read(&self) -> TokenStream {
        let Self { member, length, range, missing } = self;
        let length = length.as_ref().map(|length| quote!(.length(#length)));
        let range = range.as_ref().map(|range| quote!(.range(#range)));
        let missing = missing.as_ref().map(|missing| quote!(.missing(#missing)));
        quote!(::sdk::Wanted::of(fields, #member)#length #range #missing.read()?)
    }
}

enum Part {
    Member(LitStr),
    Length(Expr),
    Range(Expr),
    Missing(LitStr),
}

struct Parts(Vec<Part>);

impl Parse for Parts {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let parts = input.parse_terminated(Part::parse, Token![,])?;
        Ok(Self(parts.into_iter().collect()))
    }
}

impl Parse for Part {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) {
            return input.parse().map(Self::Member);
        }
        let key: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        match key.to_string().as_str() {
            "length" => input.parse().map(Self::Length),
            "range" => input.parse().map(Self::Range),
            "missing" => input.parse().map(Self::Missing),
            _ => Err(Error::new_spanned(key, "there are `length`, `range` and `missing`, and a member's own name")),
        }
    }
}

/// `order_id` is `orderId`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        name + &head.to_uppercase() + rest
    })
}
