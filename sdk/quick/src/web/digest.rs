//! Digests and signatures with a shared key: what `crypto.subtle` has of them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use rquickjs::{Ctx, Exception, Function, Object, Result, TypedArray};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::bytes::bytes;

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("digest", Function::new(ctx.clone(), digest)?)?;
    native.set("hmac", Function::new(ctx.clone(), hmac)?)?;
    native.set("isSame", Function::new(ctx.clone(), is_same)?)
}

fn digest<'js>(ctx: Ctx<'js>, name: String, data: TypedArray<'js, u8>) -> Result<TypedArray<'js, u8>> {
    let data = bytes(&data);
    let digest = match &*name {
        "SHA-1" => Sha1::digest(&data).to_vec(),
        "SHA-256" => Sha256::digest(&data).to_vec(),
        "SHA-384" => Sha384::digest(&data).to_vec(),
        "SHA-512" => Sha512::digest(&data).to_vec(),
        _ => return Err(unknown(&ctx, &name)),
    };
    TypedArray::new(ctx, digest)
}

fn hmac<'js>(
    ctx: Ctx<'js>,
    name: String,
    key: TypedArray<'js, u8>,
    data: TypedArray<'js, u8>,
) -> Result<TypedArray<'js, u8>> {
    let (key, data) = (bytes(&key), bytes(&data));
    macro_rules! signed {
        ($digest:ty) => {
            Hmac::<$digest>::new_from_slice(&key).map(|mac| mac.chain_update(&data).finalize().into_bytes().to_vec())
        };
    }
    let signature = match &*name {
        "SHA-1" => signed!(Sha1),
        "SHA-256" => signed!(Sha256),
        "SHA-384" => signed!(Sha384),
        "SHA-512" => signed!(Sha512),
        _ => return Err(unknown(&ctx, &name)),
    };
    let signature = signature.map_err(|error| Exception::throw_message(&ctx, &error.to_string()))?;
    TypedArray::new(ctx, signature)
}

/// Takes as long whatever they differ in.
fn is_same<'js>(one: TypedArray<'js, u8>, other: TypedArray<'js, u8>) -> bool {
    let (one, other) = (bytes(&one), bytes(&other));
    one.len() == other.len() && one.iter().zip(&other).fold(0, |seen, (one, other)| seen | (one ^ other)) == 0
}

fn unknown(ctx: &Ctx, name: &str) -> rquickjs::Error {
    Exception::throw_dom(
        ctx,
        "NotSupportedError",
        &format!("there is no digest `{name}`; there are SHA-1, SHA-256, SHA-384 and SHA-512"),
    )
}
