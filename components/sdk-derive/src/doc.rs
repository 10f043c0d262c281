//! Doc comments, for descriptions.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The lines of a doc comment, in one.
pub(crate) fn doc(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    };
    attributes.iter().filter_map(line).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
