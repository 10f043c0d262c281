//! What a parameter of a path can be.

use uuid::Uuid;

use crate::{
    Error,
    openapi::{Described, Schema},
    text::{hyphenated, percent_decode},
};

/// What a path's parameter can be parsed as; a refusal is a 400.
pub trait FromSegment: Sized {
    /// What it looks like, for a document.
    const SEGMENT: &'static Schema = &Schema::Text;

    fn from_segment(segment: &str) -> Result<Self, Error>;
}

impl FromSegment for Uuid {
    const SEGMENT: &'static Schema = <Self as Described>::SCHEMA;

    fn from_segment(segment: &str) -> Result<Self, Error> {
        hyphenated(segment).ok_or_else(|| Error::bad_request("The id in the path is not a UUID"))
    }
}

impl FromSegment for String {
    fn from_segment(segment: &str) -> Result<Self, Error> {
        percent_decode(segment).ok_or_else(|| Error::bad_request("The path is not percent-encoded UTF-8"))
    }
}

/// A whole number from 0, in plain digits.
impl FromSegment for u32 {
    const SEGMENT: &'static Schema = <u32 as Described>::SCHEMA;

    fn from_segment(segment: &str) -> Result<Self, Error> {
        number(segment)
    }
}

/// A whole number from 0, in plain digits.
impl FromSegment for i64 {
    const SEGMENT: &'static Schema = <u32 as Described>::SCHEMA;

    fn from_segment(segment: &str) -> Result<Self, Error> {
        number(segment)
    }
}

fn number<T: std::str::FromStr>(segment: &str) -> Result<T, Error> {
    let is_plain = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    let wanted = || Error::bad_request("The number in the path is none, or too large");
    is_plain.then(|| segment.parse().ok()).flatten().ok_or_else(wanted)
}
