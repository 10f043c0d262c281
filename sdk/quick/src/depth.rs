//! How deep a JSON text may be nested: the engine's parser calls itself for each level, and a client's text must not
//! take the whole stack.

use rquickjs::{Ctx, Exception, Function, Object, Result};

/// Levels of arrays and objects.
const DEPTH_MAX: usize = 512;

pub fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("depthMax", DEPTH_MAX)?;
    native.set("checkDepth", Function::new(ctx.clone(), |ctx: Ctx<'_>, text: String| check(&ctx, &text))?)
}

/// # Errors
/// The text is nested deeper.
pub fn check(ctx: &Ctx, text: &str) -> Result<()> {
    match is_too_deep(text.as_bytes()) {
        true => Err(Exception::throw_range(ctx, &format!("the JSON is nested more than {DEPTH_MAX} levels deep"))),
        false => Ok(()),
    }
}

fn is_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => depth += 1,
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}
