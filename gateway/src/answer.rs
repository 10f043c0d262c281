//! What a service answers, before a client sees it: cleaned, valid HTTP, or refused.

use http::{
    Response, StatusCode,
    header::{CONTENT_LENGTH, UPGRADE},
};

use crate::{
    body::{self, Body},
    dispatch::Switched,
    error::GatewayError,
    headers, upgrade,
};

/// Cleans a service's answer and refuses one that is no valid HTTP; with it comes the length
/// that its body must have.
pub(crate) fn checked(
    mut response: Response<Body>,
    is_head: bool,
) -> Result<(Response<Body>, Option<u64>), GatewayError> {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS && response.extensions().get::<Switched>().is_some() {
        return Ok((switching(response), None));
    }
    if status.is_informational() {
        return Err(GatewayError::InvalidAnswer(format!("its status is {status}").into()));
    }
    headers::clean_answer(response.headers_mut());
    let length =
        headers::content_length(response.headers()).map_err(|reason| GatewayError::InvalidAnswer(reason.into()))?;
    match status {
        StatusCode::NO_CONTENT => {
            response.headers_mut().remove(CONTENT_LENGTH);
            return Ok((response.map(|_ignored| body::empty()), None));
        }
        StatusCode::NOT_MODIFIED => return Ok((response.map(|_ignored| body::empty()), None)),
        _ if is_head => return Ok((response, None)),
        _ => {}
    }
    let size = http_body::Body::size_hint(response.body()).exact();
    if let (Some(length), Some(size)) = (length, size)
        && length != size
    {
        return Err(GatewayError::InvalidAnswer(format!("its `Content-Length` is {length}, its body {size}").into()));
    }
    Ok((response, length))
}

/// The head of an answer that ends in another protocol, which was looked at before.
fn switching(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    let protocol = headers.get(UPGRADE).cloned();
    headers::clean_answer(headers);
    headers.remove(CONTENT_LENGTH);
    if let Some(protocol) = protocol {
        upgrade::tell(headers, protocol);
    }
    response
}

/// The same headers as for `GET` (RFC 9110 9.3.2), and nothing else.
pub(crate) fn without_body(mut response: Response<Body>) -> Response<Body> {
    if let Some(size) = http_body::Body::size_hint(response.body()).exact()
        && size > 0
    {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(size.into());
    }
    response.map(|_unsent| body::empty())
}
