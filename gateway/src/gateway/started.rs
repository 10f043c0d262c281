//! A request on its way through its service, until the head of the answer is there.
//!
//! Decides when a small body is waited for, and who is late: the service, or the client whose body
//! it waits for. The service's time stands still while it waits for a client.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::HOST, request::Parts};
use tokio::time::timeout_at;

use crate::{
    body::{self, Body, BodyError, Ended, Fault},
    context::RequestContext,
    cors,
    dispatch::{DispatchError, Dispatched},
    error::GatewayError,
    headers,
    router::Entry,
    upgrade::{self, Wish},
};

pub(super) struct Started<'a> {
    answer: Dispatched<'a>,
    wish: Option<Wish>,
    fault: Fault,
    cx: Arc<RequestContext>,
}

impl<'a> Started<'a> {
    /// Forwards a request. Not async, so that the request is moved into the service's future and
    /// not through ours as well. `due` is when the answer's last byte must be there, but for the
    /// time in which its body is waited for.
    pub(super) fn new<B>(
        (cx, due, cors): (&Arc<RequestContext>, Instant, Option<&cors::Asked>),
        entry: &'a Entry,
        limit: u64,
        mut head: Parts,
        body: B,
    ) -> Result<Self, GatewayError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let wish = wish(cx, entry, &head, body.is_end_stream(), cors)?;
        let body = Ended::new(body, head.version);
        let (body, fault) = body::within_limit(body, limit, cx.awaited.clone())?;
        headers::forward(&mut head, cx);
        if let Some(wish) = &wish {
            wish.tell(&mut head.headers);
        }
        let request = Request::from_parts(head, body);
        let answer = match request.body().is_small() {
            true => Box::pin(once_whole(entry, cx.clone(), due, request)),
            false => entry.dispatch.dispatch(cx.clone(), request),
        };
        Ok(Self { answer, wish, fault, cx: cx.clone() })
    }

    /// What becomes of the request's body.
    pub(super) fn body(&self) -> Fault {
        self.fault.clone()
    }

    /// Waits for the answer's head until `due`, and as much longer as the service has waited for
    /// its client. Dropping it drops the service's future.
    pub(super) async fn answer(mut self, due: Instant) -> Result<Response<Body>, GatewayError> {
        let awaited = &self.cx.awaited;
        let mut until = awaited.put_off(due);
        let answered = loop {
            // The timer is made at once but registered only if the service is not ready.
            if let Ok(answered) = timeout_at(until.into(), &mut self.answer).await {
                break Some(answered);
            }
            match awaited.look_again(due) {
                None => break None,
                Some(later) => until = later,
            }
        };
        if let Some(error) = self.fault.get() {
            return Err(error.clone().into()); // whatever the service made of half a body
        }
        match answered {
            Some(answered) => self.agreed(answered?),
            None if awaited.is_on() => Err(BodyError::TooSlow.into()),
            None => Err(GatewayError::DeadlineExceeded),
        }
    }

    /// A 101 is what was asked for, or no answer.
    fn agreed(&self, answer: Response<Body>) -> Result<Response<Body>, GatewayError> {
        match &self.wish {
            Some(wish) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                wish.is_granted(&answer).map(|()| answer).map_err(|why| GatewayError::InvalidAnswer(why.into()))
            }
            _ => Ok(answer),
        }
    }
}

/// What a request wishes to be besides an answer, where its route and its service are for that.
fn wish(
    cx: &RequestContext,
    entry: &Entry,
    head: &Parts,
    is_empty: bool,
    cors: Option<&cors::Asked>,
) -> Result<Option<Wish>, GatewayError> {
    if cx.stream.is_none() || !entry.dispatch.may_switch() {
        return Ok(None);
    }
    let wish = Wish::of(head, !is_empty);
    let host = cx.forwarded_host.as_ref().or(head.headers.get(HOST));
    match wish.is_none() || upgrade::is_of_admitted_page(&head.headers, host, cors) {
        true => Ok(wish),
        false => Err(GatewayError::Origin),
    }
}

/// Asks the service when the request's small body is here: a client that dribbles occupies nobody,
/// and takes nothing of the service's time.
async fn once_whole(
    entry: &Entry,
    mut cx: Arc<RequestContext>,
    due: Instant,
    request: Request<Body>,
) -> Result<Response<Body>, DispatchError> {
    let (head, body) = request.into_parts();
    let body = body.whole().await?;
    let put_off = cx.awaited.put_off(due);
    if put_off > cx.deadline {
        cx = Arc::new(RequestContext { deadline: put_off, ..(*cx).clone() });
    }
    entry.dispatch.dispatch(cx, Request::from_parts(head, body)).await
}
