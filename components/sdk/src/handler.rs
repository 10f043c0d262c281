//! What may stand in a table of routes: functions, and the types of a path's parameters.

use uuid::Uuid;

use crate::{
    Answer, Error, Request,
    text::{hyphenated, percent_decode},
};

/// A function that answers: of the request alone, or of the request and the path's parameter.
pub trait Handler<P>: 'static {
    fn call(&self, request: &mut Request, parameters: &[&str]) -> Answer;
}

impl<F: Fn(&mut Request) -> Answer + 'static> Handler<()> for F {
    fn call(&self, request: &mut Request, _parameters: &[&str]) -> Answer {
        self(request)
    }
}

impl<A: FromSegment, F: Fn(&mut Request, A) -> Answer + 'static> Handler<(A,)> for F {
    fn call(&self, request: &mut Request, parameters: &[&str]) -> Answer {
        let [segment] = parameters else {
            return Err(Error::internal("a handler takes one parameter and its path has not one"));
        };
        self(request, A::from_segment(segment)?)
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
