//! What a host that is believed says of a request: for whom, by whom, how deep in a chain, how long.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName};

use crate::{
    auth::{Identity, TokenError},
    headers::{X_ARCHIPEL_HOPS, X_ARCHIPEL_TIMEOUT, X_SOURCE_SERVICE, X_USER_ID, X_USER_ROLES},
};

/// As long as the name of a service may be.
const SOURCE_BYTES_MAX: usize = 255;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Word {
    /// On whose behalf.
    pub(crate) identity: Option<Identity>,
    /// The service that calls; none: the other host's gateway.
    pub(crate) source: Option<Arc<str>>,
    /// Services that the request has passed through.
    pub(crate) hops: u8,
    /// What is left of the caller's time.
    pub(crate) timeout: Option<Duration>,
}

impl Word {
    /// Of a host whose certificate was judged: its headers are its word.
    ///
    /// # Errors
    /// A name or a role that cannot be one.
    pub(super) fn of_certificate(peer: &Arc<str>, headers: &HeaderMap) -> Result<Self, TokenError> {
        let identity = text(headers, X_USER_ID)?.map(|subject| {
            let roles = text(headers, X_USER_ROLES)?.unwrap_or_default();
            Identity::new(subject, roles.split(',').map(str::trim).filter(|role| !role.is_empty()))
        });
        let source = text(headers, X_SOURCE_SERVICE)?.map(source).transpose()?;
        // A host of ours says always how deep the chain is; whoever does not is a service by itself.
        let is_ours = headers.contains_key(X_ARCHIPEL_HOPS);
        let source = source.or_else(|| (!is_ours).then(|| peer.clone()));
        Ok(Self { identity: identity.transpose()?, source, ..Self::default() }.with(headers))
    }

    /// What is no secret and no claim to be anybody.
    pub(super) fn with(self, headers: &HeaderMap) -> Self {
        let number = |name: HeaderName| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
        let hops = number(X_ARCHIPEL_HOPS).map_or(0, |hops| u8::try_from(hops).unwrap_or(u8::MAX));
        Self { hops, timeout: number(X_ARCHIPEL_TIMEOUT).map(Duration::from_millis), ..self }
    }
}

/// The name of a service that calls.
pub(super) fn source(name: &str) -> Result<Arc<str>, TokenError> {
    let is_name = (1..=SOURCE_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name { Ok(name.into()) } else { Err(TokenError::Refused("the service that calls has no name of a service")) }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, TokenError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| TokenError::Refused("a header that says who calls is no text"))
        }
        _ => Err(TokenError::Refused("a header that says who calls is repeated")),
    }
}
