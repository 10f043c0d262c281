//! What the web's types in `js/` ask of Rust: text, addresses, digests, clocks and lines of the log.

use rquickjs::{Ctx, Exception, Function, Object, Result, String as Text, TypedArray, Value};

use crate::{
    building,
    bytes::bytes as copied,
    world::service::wasi::{
        cli::{stderr, stdout},
        clocks::{monotonic_clock, wall_clock},
        io::streams::OutputStream,
        random::random,
    },
};

mod digest;
mod url;

/// One write to a stream of the host holds this much.
const WRITE_MAX_BYTES: usize = 4096;
/// The most random bytes that are given at once, as the web has it.
const RANDOM_MAX_BYTES: u32 = 65536;

/// Puts the functions into `native`.
pub fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("encode", Function::new(ctx.clone(), encode)?)?;
    native.set("decode", Function::new(ctx.clone(), decode)?)?;
    native.set("random", Function::new(ctx.clone(), random_bytes)?)?;
    native.set("now", Function::new(ctx.clone(), now)?)?;
    native.set("print", Function::new(ctx.clone(), |text: String| print(false, &text))?)?;
    native.set("printError", Function::new(ctx.clone(), |text: String| print(true, &text))?)?;
    digest::install(ctx, native)?;
    url::install(ctx, native)
}

fn encode<'js>(ctx: Ctx<'js>, text: String) -> Result<TypedArray<'js, u8>> {
    TypedArray::new(ctx, text.into_bytes())
}

/// Text of UTF-8; nothing if it is none and must be.
fn decode<'js>(ctx: Ctx<'js>, bytes: TypedArray<'js, u8>, fatal: bool) -> Result<Value<'js>> {
    let bytes = copied(&bytes);
    let text = match (std::str::from_utf8(&bytes), fatal) {
        (Ok(text), _) => Text::from_str(ctx, text)?,
        (Err(_), true) => return Ok(Value::new_undefined(ctx)),
        (Err(_), false) => Text::from_str(ctx, &String::from_utf8_lossy(&bytes))?,
    };
    Ok(text.into_value())
}

fn random_bytes<'js>(ctx: Ctx<'js>, length: u32) -> Result<TypedArray<'js, u8>> {
    if length > RANDOM_MAX_BYTES {
        return Err(Exception::throw_range(&ctx, "at most 65536 random bytes at once"));
    }
    TypedArray::new(ctx, random::get_random_bytes(u64::from(length)))
}

/// Milliseconds since anything, for measuring.
#[allow(clippy::cast_precision_loss, reason = "nanoseconds of 104 days are exact")]
fn now() -> f64 {
    monotonic_clock::now() as f64 / 1e6
}

/// Microseconds since 1970.
#[allow(clippy::cast_precision_loss, reason = "microseconds of 285 years are exact")]
pub fn wall_micros() -> f64 {
    let now = wall_clock::now();
    now.seconds as f64 * 1e6 + f64::from(now.nanoseconds / 1000)
}

/// A line of the host's log. While a service is built, it goes to who builds it.
pub fn print(is_error: bool, text: &str) {
    let line = format!("{text}\n");
    if building::is_under_way() {
        return building::say(&line);
    }
    let to: OutputStream = if is_error { stderr::get_stderr() } else { stdout::get_stdout() };
    for piece in line.as_bytes().chunks(WRITE_MAX_BYTES) {
        // Who reads the log has gone, which is no failure of the service.
        if to.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
}
