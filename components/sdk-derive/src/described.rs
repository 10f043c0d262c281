//! Schemas: what a struct's members are called in JSON, and what is said of them.

mod words;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Error, Expr, Field, LitStr, meta::ParseNestedMeta};

use crate::{doc::doc, said::Said};

const NOT_KNOWN: &str = "what this makes of the JSON is not known here: implement `Described`";

/// What `#[described(…)]` and `#[serde(…)]` say of a type.
#[derive(Default)]
struct Whole {
    is_body: bool,
    is_some: bool,
    name: Option<String>,
    /// `camelCase`
    case: Option<LitStr>,
}

pub(crate) fn derived(input: &DeriveInput) -> syn::Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a type with parameters has no one name: implement `Described`",
        ));
    }
    let whole = Whole::of(&input.attrs)?;
    let name = whole.name.clone().unwrap_or_else(|| input.ident.to_string());
    match &input.data {
        Data::Enum(data) => words::derived(input, data, &name, whole.case.as_ref()),
        _ => object(input, &whole, &name),
    }
}

fn object(input: &DeriveInput, whole: &Whole, name: &str) -> syn::Result<TokenStream> {
    let fields = crate::named::fields(input)?;
    let members = fields.iter().map(|field| member(field, whole)).collect::<syn::Result<Vec<_>>>()?;
    let (of, doc) = (&input.ident, doc(&input.attrs));
    let Whole { is_body, is_some, .. } = whole;
    Ok(quote! {
        impl ::sdk::openapi::Described for #of {
            const SCHEMA: &'static ::sdk::openapi::Schema = {
                const MEMBERS: &[::sdk::openapi::Member] = &[#(#members),*];
                const OBJECT: ::sdk::openapi::Object = ::sdk::openapi::Object {
                    name: #name, doc: #doc, members: MEMBERS, is_body: #is_body, is_some: #is_some,
                };
                &::sdk::openapi::Schema::Object(&OBJECT)
            };
        }
    })
}

impl Whole {
    fn of(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut whole = Self::default();
        for attribute in of(attributes, "described") {
            attribute.parse_nested_meta(|meta| {
                match word(&meta).as_str() {
                    "body" => whole.is_body = true,
                    "some" => whole.is_some = true,
                    "name" => whole.name = Some(meta.value()?.parse::<LitStr>()?.value()),
                    _ => return Err(meta.error("there are `body`, `some` and `name`")),
                }
                Ok(())
            })?;
        }
        for attribute in of(attributes, "serde") {
            attribute.parse_nested_meta(|meta| {
                match word(&meta).as_str() {
                    "rename_all" => whole.case = Some(meta.value()?.parse()?),
                    _ => return Err(meta.error(NOT_KNOWN)),
                }
                Ok(())
            })?;
        }
        Ok(whole)
    }
}

/// One member, as `Member` of the sdk.
fn member(field: &Field, whole: &Whole) -> syn::Result<TokenStream> {
    let (said, mut name) = (Said::of(field)?, crate::named::name(field));
    let (mut more, mut may_be_absent) = (None, None);
    for attribute in of(&field.attrs, "described") {
        attribute.parse_nested_meta(|meta| {
            match word(&meta).as_str() {
                "json" => more = Some(meta.value()?.parse::<Expr>()?),
                _ => return Err(meta.error("there is `json`, more of the member's schema")),
            }
            Ok(())
        })?;
    }
    if let Some(case) = &whole.case {
        name = words::renamed(&name, case)?;
    }
    for attribute in of(&field.attrs, "serde") {
        attribute.parse_nested_meta(|meta| {
            match word(&meta).as_str() {
                "rename" => name = meta.value()?.parse::<LitStr>()?.value(),
                "skip_serializing_if" => {
                    meta.value()?.parse::<LitStr>()?;
                    may_be_absent = Some(quote!(.may_be_absent()));
                }
                _ => return Err(meta.error(NOT_KNOWN)),
            }
            Ok(())
        })?;
    }
    if whole.is_body {
        name.clone_from(&said.member);
    }
    let (of, doc) = (&field.ty, doc(&field.attrs));
    let doc = (!doc.is_empty()).then(|| quote!(.doc(#doc)));
    let length = said.length.map(|length| quote!(.length(#length)));
    let range = said.range.map(|range| quote!(.range(#range)));
    let more = more.map(|more| quote!(.more(#more)));
    Ok(quote! {
        ::sdk::openapi::Member::new(#name, <#of as ::sdk::openapi::Described>::SCHEMA)#doc #length #range #more #may_be_absent
    })
}

/// The attributes of this name.
fn of<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a Attribute> {
    attributes.iter().filter(move |attribute| attribute.path().is_ident(name))
}

fn word(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.get_ident().map(ToString::to_string).unwrap_or_default()
}
