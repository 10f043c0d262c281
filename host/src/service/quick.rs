//! The quick door, `archipel:http/handler`: a whole request as a guest's values, and its values as an answer.
//!
//! Decides which values are no answer; everything else about a request is the same as by the other door.

use bytes::Bytes;
use gateway::body::{self, Body};
use http::{Response, StatusCode, header::HOST, request::Parts};
use wasmtime_wasi_http::WasiHttpView;

use super::{failure::Failure, trap::explained};
use crate::{
    capability::http::{block, quick, said},
    instance::Instance,
};
use backend::memory::{Held, counted};

/// A body that is longer is counted while it is sent. Of shorter ones there are no more than places for requests, as of
/// the pieces of streams.
const UNCOUNTED_MAX_BYTES: usize = 16 << 10;

/// Hands a whole request to the guest; ready when it has returned, with its answer.
///
/// # Errors
/// It trapped or was stopped, or what it returned is no answer, or there is no room for it.
pub(super) async fn handled(
    instance: &mut Instance,
    https: bool,
    (head, body): (Parts, Bytes),
) -> Result<Response<Body>, Failure> {
    let result = called(instance, https, &head, &body).await;
    instance.end(result.is_ok());
    match result {
        Ok(quick::Answer { response, retire }) => {
            instance.tidy &= !retire;
            answered(instance, response)
        }
        Err(error) => Err(explained(&error, instance)),
    }
}

async fn called(instance: &mut Instance, https: bool, head: &Parts, body: &[u8]) -> wasmtime::Result<quick::Answer> {
    let Some(door) = &instance.quick else {
        wasmtime::bail!("its component does not export `archipel:http/handler@0.1.0`");
    };
    let uri = &head.uri;
    let authority = uri.authority().map(|authority| authority.as_str());
    let host = || head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let fields = block(&head.headers);
    let values = quick::Request {
        method: head.method.as_str(),
        scheme: if https { quick::Scheme::Https } else { quick::Scheme::Http },
        authority: authority.or_else(host).unwrap_or_default(),
        target: uri.path_and_query().map_or("/", |target| target.as_str()),
        fields: &fields,
        body,
    };
    door.archipel_http_handler().call_handle(&mut instance.store, values).await
}

/// What a guest returned, as an answer.
fn answered(instance: &mut Instance, response: quick::Response) -> Result<Response<Body>, Failure> {
    let invalid = |what: String| Failure::NoAnswer(format!("its answer is not valid: {what}"));
    let quick::Response { status, headers, body } = response;
    let status = StatusCode::from_u16(status).map_err(|_invalid| invalid(format!("its status is {status}")))?;
    let headers = said(headers, instance.store.data_mut().http().hooks).map_err(invalid)?;
    let mut held = Held::nothing_of(Some(instance.account().clone()));
    if body.len() > UNCOUNTED_MAX_BYTES && !held.grow(body.len() as u64) {
        return Err(Failure::NoRoom("its answer takes what is left of `host.guest_memory`".into()));
    }
    let mut response = Response::new(body::full(counted(body, held)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}
