//! What `#[json(…)]` says of a member of a body: its name and its bounds.

use syn::{
    Error, Expr, Field, Ident, LitStr, Token,
    parse::{Parse, ParseStream},
};

/// What is said of one field.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) member: String,
    pub(crate) length: Option<Expr>,
    pub(crate) range: Option<Expr>,
    pub(crate) missing: Option<LitStr>,
}

impl Said {
    pub(crate) fn of(field: &Field) -> syn::Result<Self> {
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
pub(crate) fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        name + &head.to_uppercase() + rest
    })
}
