//! What may stand in a table of routes: functions, by what they take and what they answer.

use uuid::Uuid;

use crate::{
    Answer, Error, Request,
    argument::Argument,
    openapi::{Described, Schema, Success, Taken},
    replies::Replies,
    text::{hyphenated, percent_decode},
};

/// A function that answers: of the request, and of what else it takes, up to four: first the path's parameters in their
/// order, then [`Body`](crate::Body) and [`Asked`](crate::Asked), which say what it will read.
pub trait Handler<P>: 'static {
    /// How many parameters it takes; none is right for every path.
    const PARAMETERS: usize = Taken::segments(Self::TAKES);
    const TAKES: &'static [Taken];
    const ANSWERS: &'static Success;

    fn call(&self, request: &mut Request, parameters: &[&str]) -> Answer;
}

macro_rules! handlers {
    ($($($name:ident),*;)*) => {$(
        impl<$($name: Argument,)* R: Replies, F> Handler<($($name,)* R,)> for F
        where
            F: Fn(&mut Request, $($name),*) -> Result<R, Error> + 'static,
        {
            const TAKES: &'static [Taken] = &[$($name::TAKEN),*];
            const ANSWERS: &'static Success = R::ANSWERS;

            fn call(&self, request: &mut Request, parameters: &[&str]) -> Answer {
                let mut _segments = parameters.iter();
                self(request, $($name::taken(&mut _segments)?),*)?.reply()
            }
        }
    )*};
}

handlers! {
    ;
    A;
    A, B;
    A, B, C;
    A, B, C, D;
}

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
