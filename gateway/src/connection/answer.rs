//! The body of an answer on its way out.
//!
//! Counts the exchange until the body is gone, and lets no answer look whole whose length
//! is not the one it claimed: hyper would cut a body that is too long to size without a word.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Response, StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{Handler, state::Exchange, stream::Flow};
use crate::body::{Body, BodyError, full};

pub(super) struct Answer {
    body: Body,
    /// Of the claimed length; `None` where none was claimed, or none of it will be sent.
    left: Option<u64>,
    delimited_by_close: bool,
    exchange: Exchange,
    flow: Flow,
}

/// What the request says about the form of its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    head_only: bool,
    http_10: bool,
}

impl Asked {
    pub(super) fn by<B>(request: &http::Request<B>) -> Self {
        Self {
            head_only: request.method() == Method::HEAD,
            http_10: request.version() == Version::HTTP_10,
        }
    }
}

/// Makes the response hyper sends. One whose head and body already contradict each other is
/// replaced by a 502.
pub(super) fn answer<H: Handler>(
    handler: &H,
    asked: Asked,
    exchange: Exchange,
    flow: Flow,
    response: Response<Body>,
) -> Response<Answer> {
    let response = match checked(asked, response) {
        Ok(response) => response,
        Err(why) => {
            tracing::warn!(why, "answer replaced by a 502");
            handler.refuse(StatusCode::BAD_GATEWAY, "the service gave no valid answer").map(full)
        }
    };
    let (head, body) = response.into_parts();
    let sends_no_body =
        asked.head_only || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let left = if sends_no_body { None } else { claimed_length(&head.headers).ok().flatten() };
    let delimited_by_close = asked.http_10 && left.is_none() && body.size_hint().exact().is_none();
    let mut answer = Answer { body, left, delimited_by_close, exchange, flow };
    if sends_no_body || answer.is_end_stream() {
        answer.exchange.complete();
    }
    Response::from_parts(head, answer)
}

fn checked(asked: Asked, response: Response<Body>) -> Result<Response<Body>, &'static str> {
    if response.status().is_informational() {
        return Err("its status is informational");
    }
    let Some(claimed) = claimed_length(response.headers())? else {
        return Ok(response);
    };
    match response.body().size_hint().exact() {
        Some(exact) if exact != claimed && !(asked.head_only && exact == 0) => {
            Err("its length is not its content-length")
        }
        _ => Ok(response),
    }
}

fn claimed_length(headers: &http::HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match crate::framing::line::number(value.as_bytes(), 18) {
            Some(length) => Ok(Some(length)),
            None => Err("its content-length is no number"),
        },
        _ => Err("it has two content-lengths"),
    }
}

impl Answer {
    fn judge(&mut self, frame: Option<Result<Frame<Bytes>, BodyError>>) -> Option<Result<Frame<Bytes>, BodyError>> {
        match (frame, &mut self.left) {
            (Some(Ok(frame)), Some(left)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                if length > *left {
                    return Some(Err(BodyError::Cut("it is longer than its content-length".into())));
                }
                *left -= length;
                Some(Ok(frame))
            }
            (None, Some(1..)) => Some(Err(BodyError::Cut("it is shorter than its content-length".into()))),
            (frame, _) => frame,
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            this.flow.waits_for_service();
            return Poll::Pending;
        };
        this.flow.waits_for_client();
        let frame = this.judge(frame);
        match &frame {
            Some(Err(error)) => {
                tracing::debug!(%error, "answer cut short");
                if this.delimited_by_close {
                    this.exchange.state().broke_close_delimited();
                }
            }
            Some(Ok(_)) if !this.is_end_stream() => {}
            _ => this.exchange.complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left.unwrap_or(0) == 0 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(|| self.body.size_hint(), SizeHint::with_exact)
    }
}
