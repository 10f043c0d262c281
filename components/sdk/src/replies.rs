//! What a handler answers when it does not fail, by its type: the status and the data of it are in the document too.

use serde::Serialize;

use crate::{
    Answer, Reply,
    openapi::{Content, Described, Header, Schema, Success},
};

/// A type that a handler may answer with.
pub trait Replies {
    const ANSWERS: &'static Success;

    /// # Errors
    /// 500 if it cannot be written.
    fn reply(self) -> Answer;
}

/// 200 with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data<T>(pub T);

/// 201 with what was made, and its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created<T> {
    pub location: String,
    pub data: T,
}

/// 204.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoContent;

/// A document says no more of it than that it is a success.
impl Replies for Reply {
    const ANSWERS: &'static Success = &Success { status: 200, content: Content::Unknown, headers: &[] };

    fn reply(self) -> Answer {
        Ok(self)
    }
}

impl<T: Serialize + Described> Replies for Data<T> {
    const ANSWERS: &'static Success = &Success { status: 200, content: Content::Json(T::SCHEMA), headers: &[] };

    fn reply(self) -> Answer {
        Reply::ok(&self.0)
    }
}

impl<T: Serialize + Described> Replies for Created<T> {
    const ANSWERS: &'static Success = &Success {
        status: 201,
        content: Content::Json(T::SCHEMA),
        headers: &[Header { name: "Location", doc: "Its path", schema: &Schema::Text }],
    };

    fn reply(self) -> Answer {
        Reply::created(self.location, &self.data)
    }
}

impl Replies for NoContent {
    const ANSWERS: &'static Success = &Success { status: 204, content: Content::None, headers: &[] };

    fn reply(self) -> Answer {
        Reply::no_content()
    }
}
