//! The body of an answer on its way out.
//!
//! Counts the exchange until the body is gone, and lets no answer look whole whose length
//! is not the one it claimed: hyper would cut a body that is too long to size without a word.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Response, StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{Handler, state::Exchange, stream::Flow};
use crate::body::{Body, BodyError, empty, full};

type Item = Option<Result<Frame<Bytes>, BodyError>>;

pub(super) struct Answer {
    body: Body,
    /// Of the claimed length; `None` where none was claimed, or none of it will be sent.
    left: Option<u64>,
    /// Held back until what follows is known; with `ended`, what follows.
    last: Option<Frame<Bytes>>,
    ended: bool,
    delimited_by_close: bool,
    /// It has no bytes, but hyper must not know: it would leave the length out of the head of a
    /// 304. It never asks for the body of one.
    withheld: bool,
    exchange: Exchange,
    flow: Flow,
}

/// What the request says about the form of its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    head_only: bool,
    version: Version,
}

impl Asked {
    pub(super) fn by<B>(request: &http::Request<B>) -> Self {
        Self { head_only: request.method() == Method::HEAD, version: request.version() }
    }

    /// Whether the answer ends with its head. A length in it is then that of the body which a
    /// `GET`, or a 200, would have had (RFC 9110 8.6), and there is nothing to hold it against.
    fn sends_no_body(self, status: StatusCode) -> bool {
        self.head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
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
    let (mut head, mut body) = response.into_parts();
    let sends_no_body = asked.sends_no_body(head.status);
    if sends_no_body {
        if head.status == StatusCode::NO_CONTENT {
            head.headers.remove(header::CONTENT_LENGTH);
        } else if let (true, Some(length)) = (asked.head_only, body.size_hint().exact().filter(|length| *length > 0)) {
            head.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        body = empty();
    }
    let left = if sends_no_body { None } else { claimed_length(&head.headers).ok().flatten() };
    let delimited_by_close = asked.version == Version::HTTP_10 && left.is_none() && body.size_hint().exact().is_none();
    let withheld = head.status == StatusCode::NOT_MODIFIED
        && !asked.head_only
        && asked.version < Version::HTTP_2
        && head.headers.contains_key(header::CONTENT_LENGTH);
    let mut answer = Answer { body, left, last: None, ended: false, delimited_by_close, withheld, exchange, flow };
    if sends_no_body || answer.is_end_stream() {
        answer.exchange.complete();
    }
    answer.flow.waits_for_client();
    Response::from_parts(head, answer)
}

/// The 101 behind which another protocol begins.
pub(super) fn switching(mut exchange: Exchange, response: Response<Body>) -> Response<Answer> {
    exchange.complete();
    let flow = Flow::unwatched();
    response.map(|body| Answer {
        body,
        left: None,
        last: None,
        ended: false,
        delimited_by_close: false,
        withheld: false,
        exchange,
        flow,
    })
}

fn checked(asked: Asked, response: Response<Body>) -> Result<Response<Body>, &'static str> {
    if response.status().is_informational() {
        return Err("its status is informational");
    }
    let Some(claimed) = claimed_length(response.headers())? else {
        return Ok(response);
    };
    match response.body().size_hint().exact() {
        Some(exact) if exact != claimed && !asked.sends_no_body(response.status()) => {
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
    /// Judges a frame that came, or the end. `None` holds back the last claimed byte until
    /// the body has ended behind it: what follows could make a whole answer a wrong one.
    fn judge(&mut self, frame: Item) -> Option<Item> {
        let Some(left) = &mut self.left else {
            return Some(frame);
        };
        match frame {
            Some(Ok(frame)) if frame.is_data() => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                if length > *left {
                    return Some(Some(Err(BodyError::Cut("it is longer than its content-length".into()))));
                }
                *left -= length;
                if *left > 0 || self.body.is_end_stream() {
                    return Some(Some(Ok(frame)));
                }
                // An empty frame behind the last byte changes nothing.
                self.last.get_or_insert(frame);
                None
            }
            None if *left > 0 => Some(Some(Err(BodyError::Cut("it is shorter than its content-length".into())))),
            Some(Err(error)) => Some(Some(Err(error))),
            end => match self.last.take() {
                Some(last) => {
                    self.last = end.and_then(Result::ok);
                    self.ended = true;
                    Some(Some(Ok(last)))
                }
                None => Some(end),
            },
        }
    }

    fn poll_judged(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        loop {
            if self.ended {
                return Poll::Ready(self.last.take().map(Ok));
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            if let Some(item) = self.judge(frame) {
                return Poll::Ready(item);
            }
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Item> {
        let this = &mut *self;
        let Poll::Ready(item) = this.poll_judged(cx) else {
            this.flow.waits_for_service();
            return Poll::Pending;
        };
        this.flow.waits_for_client();
        match &item {
            Some(Err(error)) => {
                tracing::debug!(%error, "answer cut short");
                if this.delimited_by_close {
                    this.exchange.state().broke_close_delimited();
                }
            }
            Some(Ok(_)) if this.left != Some(0) && !this.is_end_stream() => {}
            _ => this.exchange.complete(),
        }
        Poll::Ready(item)
    }

    fn is_end_stream(&self) -> bool {
        !self.withheld
            && self.last.is_none()
            && (self.ended || (self.left.unwrap_or(0) == 0 && self.body.is_end_stream()))
    }

    fn size_hint(&self) -> SizeHint {
        if self.withheld {
            return SizeHint::default();
        }
        self.left.map_or_else(|| self.body.size_hint(), SizeHint::with_exact)
    }
}
