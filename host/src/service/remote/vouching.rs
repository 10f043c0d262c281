//! What a service elsewhere is told so that a call keeps its identity, its depth and its time on another host.
//!
//! Decides by what it is proved, and that a chain of calls over hosts is as long as one within this host may be.

use std::{sync::Arc, time::Instant};

use gateway::{call::HOPS_MAX, context::RequestContext, dispatch::DispatchError, headers};
use http::HeaderMap;

use backend::identity::{Spoken, Voucher};
use manifest::Proof;

/// By what it is proved who calls.
pub(super) enum Vouching {
    /// Not at all: nothing of this is said.
    None,
    /// By the certificate of the connection.
    Certificate,
    Token(Arc<Voucher>),
}

impl Vouching {
    pub(super) fn of(proof: Proof, voucher: Option<&Arc<Voucher>>) -> Self {
        match (proof, voucher) {
            (Proof::Certificate, _) => Self::Certificate,
            (Proof::Token, Some(voucher)) => Self::Token(voucher.clone()),
            (Proof::None | Proof::Token, _) => Self::None,
        }
    }

    /// Says it to `callee`, whose answer must be there by `by`. Cancel safe.
    ///
    /// # Errors
    /// The chain is too long, or nothing can be proved.
    pub(super) async fn vouch(
        &self,
        callee: &Arc<str>,
        (cx, by): (&RequestContext, Instant),
        headers: &mut HeaderMap,
    ) -> Result<(), DispatchError> {
        let token = match self {
            Self::None => return Ok(()),
            Self::Certificate => None,
            Self::Token(voucher) => {
                let token = voucher.token(spoken(callee, cx)).await;
                let service = callee.clone();
                Some(token.map_err(|error| DispatchError::Unavailable { service, reason: error.to_string() })?)
            }
        };
        if cx.hops >= HOPS_MAX {
            return Err(DispatchError::TooManyHops { service: callee.clone() });
        }
        // A gateway that only passes on is a step too, or two could send a request round for ever.
        headers::vouched(headers, cx.hops + 1, by.saturating_duration_since(Instant::now()), token);
        Ok(())
    }
}

fn spoken(callee: &Arc<str>, cx: &RequestContext) -> Spoken {
    let identity = cx.identity.as_ref();
    Spoken {
        callee: callee.clone(),
        source: cx.source_service.clone(),
        user: identity.map(|identity| identity.subject.clone()),
        roles: identity.and_then(|identity| identity.roles.clone()),
    }
}
