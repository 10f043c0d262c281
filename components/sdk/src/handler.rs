//! What may stand in a table of routes: functions, and the types of a path's parameters.

use uuid::Uuid;

use crate::{
    Answer, Error, Request,
    text::{hyphenated, percent_decode},
};

/// A function that answers: of the request alone, or of the request and the path's parameters in their order, up to three.
pub trait Handler<P>: 'static {
    /// How many parameters it takes; none is right for every path.
    const PARAMETERS: usize;

    fn call(&self, request: &mut Request, parameters: &[&str]) -> Answer;
}

macro_rules! handlers {
    ($($count:literal: $($name:ident $segment:ident),*;)*) => {$(
        impl<$($name: FromSegment,)* F: Fn(&mut Request, $($name),*) -> Answer + 'static> Handler<($($name,)*)> for F {
            const PARAMETERS: usize = $count;

            fn call(&self, request: &mut Request, parameters: &[&str]) -> Answer {
                let [$($segment),*] = parameters else {
                    return Err(Error::internal("a handler takes other parameters than its path has"));
                };
                self(request, $($name::from_segment($segment)?),*)
            }
        }
    )*};
}

handlers! {
    1: A a;
    2: A a, B b;
    3: A a, B b, C c;
}

impl<F: Fn(&mut Request) -> Answer + 'static> Handler<()> for F {
    const PARAMETERS: usize = 0;

    fn call(&self, request: &mut Request, _parameters: &[&str]) -> Answer {
        self(request)
    }
}

/// What a path's parameter can be parsed as; a refusal is a 400.
pub trait FromSegment: Sized {
    fn from_segment(segment: &str) -> Result<Self, Error>;
}

impl FromSegment for Uuid {
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
    fn from_segment(segment: &str) -> Result<Self, Error> {
        number(segment)
    }
}

/// A whole number from 0, in plain digits.
impl FromSegment for i64 {
    fn from_segment(segment: &str) -> Result<Self, Error> {
        number(segment)
    }
}

fn number<T: std::str::FromStr>(segment: &str) -> Result<T, Error> {
    let is_plain = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    let wanted = || Error::bad_request("The number in the path is none, or too large");
    is_plain.then(|| segment.parse().ok()).flatten().ok_or_else(wanted)
}
