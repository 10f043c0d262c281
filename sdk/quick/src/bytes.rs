//! Bytes that JavaScript hands over, as a copy: what it does to its own later changes nothing.

use rquickjs::TypedArray;

/// All of them; none of an array that was detached.
pub fn bytes(array: &TypedArray<'_, u8>) -> Vec<u8> {
    #[allow(unsafe_code, reason = "no JavaScript runs between the borrow and the end of the copy")]
    // SAFETY: one thread, and nothing here calls into the engine while the slice lives.
    let own = unsafe { array.as_bytes() };
    own.unwrap_or_default().to_vec()
}
