//! Which of a component's doors a request takes.
//!
//! Whole requests take the quick one, where there is one; what still arrives, and what is answered by a stream, takes
//! the standard's. A component without that is handed its requests when all of them is here.

use std::sync::Arc;

use gateway::{
    body::{self, Body},
    context::RequestContext,
};
use http::Request;

use super::{Failure, Version, leave::Limits, version::Exports};
use crate::{
    capability::http::{NotWhole, gathered},
    engine::Drawer,
};
use backend::memory::{Held, counted};

/// The export that a request is handed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// `wasi:http/incoming-handler`.
    Standard,
    /// `archipel:http/handler`.
    Quick,
}

impl Door {
    /// Of what a component exports: which of them `request` takes.
    pub(super) fn of(exports: &Exports, cx: &RequestContext, request: &Request<Body>) -> Self {
        Self::among(exports.proxy.is_some(), exports.quick.is_some(), request.body().is_whole() && cx.stream.is_none())
    }

    fn among(standard: bool, quick: bool, is_whole: bool) -> Self {
        if quick && (is_whole || !standard) { Self::Quick } else { Self::Standard }
    }

    /// As it is told in traces.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Standard => "wasi:http",
            Self::Quick => "archipel:http",
        }
    }

    /// Whether the request must be gathered first.
    pub(super) fn is_too_narrow_for(self, request: &Request<Body>) -> bool {
        self == Self::Quick && !request.body().is_whole()
    }
}

/// Makes a body that is still under way a whole one. Cancel safe: dropping it drops what was gathered.
///
/// # Errors
/// The body broke or was late, which is its sender's fault; or there is no memory for it.
pub(super) async fn gather(version: &Version, limits: &Limits, body: &mut Body) -> Result<(), Failure> {
    let drawer = Drawer::new(version.blueprint.engine.memory.clone(), version.counts().clone());
    let mut held = Held::nothing_of(Some(Arc::new(drawer)));
    // How long it may be, the body knows itself.
    let gathering = async { Ok(gathered(&mut *body, u64::MAX, &mut held).await) };
    // All of this time, somebody else is waited for.
    let whole = limits.clone().bound(gathering).await.map_err(|late| Failure::Downstream(Box::new(late)))?;
    let whole = whole.map_err(|not_whole| match not_whole {
        NotWhole::Broken(error) => Failure::Upload(error),
        NotWhole::TooLong | NotWhole::NoRoom => {
            Failure::NoRoom("a request's body takes what is left of `host.guest_memory`".into())
        }
    })?;
    *body = body::full(counted(whole, held));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_request_takes_the_quick_door_and_any_other_one_the_standard_s_if_there_is_one() {
        for (standard, quick, whole, door) in [
            (true, false, true, Door::Standard),
            (true, false, false, Door::Standard),
            (true, true, true, Door::Quick),
            (true, true, false, Door::Standard),
            (false, true, true, Door::Quick),
            (false, true, false, Door::Quick),
        ] {
            assert_eq!(Door::among(standard, quick, whole), door, "{standard} {quick} {whole}");
        }
    }
}
