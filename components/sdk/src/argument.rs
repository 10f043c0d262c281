//! What a handler takes beside the request, each by its type: a parameter of the path, or the promise to read a body or a
//! query of some kind.

use std::{marker::PhantomData, slice::Iter};

use crate::{
    Error, FromJson, FromSegment, Query, Request,
    openapi::{Described, Parameter, Taken},
};

/// A type that a handler may take.
pub trait Argument: Sized {
    const TAKEN: Taken;

    /// Itself, perhaps of the next parameter of the path.
    ///
    /// # Errors
    /// 400 if the parameter is something else.
    fn taken(segments: &mut Iter<'_, &str>) -> Result<Self, Error>;
}

/// A body that is a `T` in JSON. It is read when the handler reads it, so what is decided before costs no body.
///
/// What is described is what is read, or a table with it does not compile:
///
/// ```compile_fail
/// use sdk::{Body, Error, Fields, FromJson, NoContent, Request, openapi::Described};
///
/// #[derive(Described)]
/// #[described(body)]
/// struct Tea {
///     sugar: i32,
/// }
///
/// impl FromJson for Tea {
///     const FIELDS: &'static [&'static str] = &["sugar", "milk"];
///
///     fn from_json(fields: &Fields) -> Result<Self, Error> {
///         Ok(Self { sugar: fields.whole("sugar", 0..=9)?.unwrap_or(0) })
///     }
/// }
///
/// fn drink(request: &mut Request, body: Body<Tea>) -> Result<NoContent, Error> {
///     body.read(request).map(|_tea| NoContent)
/// }
///
/// sdk::routes! {
///     "/tea" {
///         post drink;
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Body<T>(PhantomData<fn() -> T>);

/// A query (and headers) with these parameters; read when the handler reads it.
#[derive(Debug)]
pub struct Asked<T>(PhantomData<fn() -> T>);

/// Parameters that go together: those of a page, of a search.
pub trait Parameters {
    const LIST: &'static [Parameter];
}

impl<T: FromSegment> Argument for T {
    const TAKEN: Taken = Taken::Segment(T::SEGMENT);

    fn taken(segments: &mut Iter<'_, &str>) -> Result<Self, Error> {
        let missing = || Error::internal("a handler takes other parameters than its path has");
        T::from_segment(segments.next().ok_or_else(missing)?)
    }
}

impl<T: FromJson + Described> Body<T> {
    /// # Errors
    /// 415, 413 or 400 if it is none.
    pub fn read(self, request: &mut Request) -> Result<T, Error> {
        request.json()
    }
}

impl<T: FromJson + Described> Argument for Body<T> {
    const TAKEN: Taken = {
        T::SCHEMA.holds(T::FIELDS);
        Taken::Body(T::SCHEMA)
    };

    fn taken(_segments: &mut Iter<'_, &str>) -> Result<Self, Error> {
        Ok(Self(PhantomData))
    }
}

impl<T: Parameters> Asked<T> {
    /// The query's parameters, each among those of `T`, once and not empty.
    ///
    /// # Errors
    /// 400 for any other query.
    pub fn query(self, request: &Request) -> Result<Query, Error> {
        let names: Vec<&str> = T::LIST.iter().filter_map(Parameter::in_query).collect();
        request.query(&names)
    }
}

impl<T: Parameters> Argument for Asked<T> {
    const TAKEN: Taken = Taken::Parameters(T::LIST);

    fn taken(_segments: &mut Iter<'_, &str>) -> Result<Self, Error> {
        Ok(Self(PhantomData))
    }
}
