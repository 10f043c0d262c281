//! Tokens and passwords.

use rquickjs::{Ctx, Function, Object, Result};

use super::{Fault, given};
use crate::world::service::archipel::identity::{
    passwords,
    tokens::{self, Claims},
};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("sign", Function::new(ctx.clone(), sign)?)?;
    native.set("hashPassword", Function::new(ctx.clone(), hash)?)?;
    native.set("verifyPassword", Function::new(ctx.clone(), verify)?)
}

fn sign<'js>(
    ctx: Ctx<'js>,
    auth: String,
    subject: String,
    roles: Vec<String>,
    ttl_seconds: u32,
) -> Result<Object<'js>> {
    let token = given(&ctx, tokens::sign(&auth, &Claims { subject, roles, ttl_seconds }))?;
    let made = Object::new(ctx)?;
    made.set("value", token.value)?;
    made.set("expiresInSeconds", token.expires_in_seconds)?;
    Ok(made)
}

fn hash(ctx: Ctx<'_>, password: String) -> Result<String> {
    given(&ctx, passwords::hash(&password))
}

fn verify(ctx: Ctx<'_>, password: String, hash: Option<String>) -> Result<bool> {
    given(&ctx, passwords::verify(&password, hash.as_deref()))
}

impl From<tokens::Error> for Fault {
    fn from(error: tokens::Error) -> Self {
        match error {
            tokens::Error::AccessDenied(text) => Self::with("access-denied", text),
            tokens::Error::Invalid(text) => Self::with("invalid", text),
            tokens::Error::Overloaded => Self::of("overloaded"),
            tokens::Error::Other(text) => Self::with("other", text),
        }
    }
}

impl From<passwords::Error> for Fault {
    fn from(error: passwords::Error) -> Self {
        match error {
            passwords::Error::AccessDenied(text) => Self::with("access-denied", text),
            passwords::Error::Invalid(text) => Self::with("invalid", text),
            passwords::Error::Overloaded => Self::of("overloaded"),
            passwords::Error::Other(text) => Self::with("other", text),
        }
    }
}
