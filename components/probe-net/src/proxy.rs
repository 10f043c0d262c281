//! Passes a request on and its answer back, as a plain proxy does: piece by piece, both ways at
//! once, and cut when it was cut.

use sdk::bindings::wasi::{
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingRequest, IncomingResponse, OutgoingBody,
            OutgoingResponse, ResponseOutparam,
        },
    },
    io::{
        poll::{Pollable, poll},
        streams::{InputStream, OutputStream, StreamError},
    },
};

use crate::dial;

/// What a proxy does not pass on.
const OWN: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

pub(crate) fn pass(request: &IncomingRequest, url: &str, out: ResponseOutparam) {
    let sent = dial::to(url, &request.method(), copy(&request.headers())).and_then(|outgoing| {
        let body = outgoing.body().expect("taken once");
        Ok((outgoing_handler::handle(outgoing, None)?, body))
    });
    let (pending, upload) = match sent {
        Ok(sent) => sent,
        Err(error) => return ResponseOutparam::set(out, Err(error)),
    };
    let incoming = request.consume().expect("taken once");
    let (from, to) = (incoming.stream().expect("taken once"), upload.write().expect("taken once"));
    let pipe = Some(Pipe { from, to, held: Vec::new() });
    match uploaded(Upload { pipe, body: Some(upload), _incoming: incoming }, pending) {
        Ok((response, upload)) => answer(&response, upload, out),
        Err(error) => ResponseOutparam::set(out, Err(error)),
    }
}

fn copy(headers: &Fields) -> Fields {
    let passed = headers.entries().into_iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    let copy = Fields::new();
    for (name, value) in passed {
        // A name that may not be set is not passed on.
        let _ = copy.append(&name, &value);
    }
    copy
}

/// Sends the body until its end or until there is an answer.
fn uploaded(mut upload: Upload, pending: FutureIncomingResponse) -> Result<(IncomingResponse, Upload), ErrorCode> {
    let ready = pending.subscribe();
    while !ready.ready() {
        if upload.pipe.is_none() {
            ready.block();
            continue;
        }
        let next = upload.pipe.as_ref().expect("it goes on").next();
        let which = poll(&[&next, &ready]);
        drop(next);
        if which.contains(&0) {
            upload.step()?;
        }
    }
    Ok((pending.get().expect("it is ready").expect("taken once")?, upload))
}

/// Answers with the head at once, then piece by piece, while the rest of the upload goes on.
fn answer(response: &IncomingResponse, mut upload: Upload, out: ResponseOutparam) {
    let answer = OutgoingResponse::new(copy(&response.headers()));
    answer.set_status_code(response.status()).expect("a status");
    let outgoing = answer.body().expect("taken once");
    ResponseOutparam::set(out, Ok(answer));
    let incoming = response.consume().expect("taken once");
    let (from, to) = (incoming.stream().expect("taken once"), outgoing.write().expect("taken once"));
    let mut download = Pipe { from, to, held: Vec::new() };
    loop {
        let mut waits = vec![download.next()];
        waits.extend(upload.pipe.as_ref().map(Pipe::next));
        let which = poll(&waits.iter().collect::<Vec<_>>());
        drop(waits);
        if which.contains(&1) && upload.step().is_err() {
            upload.pipe = None; // nobody reads it any more
        }
        match which.contains(&0).then(|| download.step()) {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => break,
            Some(Err(_cut)) => return, // unfinished, the body is cut here too
        }
    }
    drop(download);
    // Who asked may be gone.
    let _ = OutgoingBody::finish(outgoing, None);
}

/// The request's body on its way. The pipe is first: its streams go before their bodies.
struct Upload {
    pipe: Option<Pipe>,
    body: Option<OutgoingBody>,
    _incoming: IncomingBody,
}

impl Upload {
    fn step(&mut self) -> Result<(), ErrorCode> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        match pipe.step() {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.pipe = None;
                self.body.take().map_or(Ok(()), |body| OutgoingBody::finish(body, None))
            }
            Err(_cut) => Err(ErrorCode::HttpRequestBodySize(None)),
        }
    }
}

struct Pipe {
    from: InputStream,
    to: OutputStream,
    held: Vec<u8>,
}

impl Pipe {
    /// Ready when there is something to do.
    fn next(&self) -> Pollable {
        if self.held.is_empty() { self.from.subscribe() } else { self.to.subscribe() }
    }

    /// Moves what can be moved without waiting; false at the end.
    fn step(&mut self) -> Result<bool, StreamError> {
        if self.held.is_empty() {
            match self.from.read(4096) {
                Ok(bytes) => self.held = bytes,
                Err(StreamError::Closed) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let room = usize::try_from(self.to.check_write()?).unwrap_or(usize::MAX).min(self.held.len());
        if room > 0 {
            let rest = self.held.split_off(room);
            self.to.write(&self.held)?;
            self.held = rest;
        }
        Ok(true)
    }
}
