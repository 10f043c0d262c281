//! Who may use the admin API: the tokens of the manifest, and the one the host makes itself.
//!
//! A token is found by its digest, so that comparing takes the same time whatever is presented.

use std::{collections::HashMap, sync::Arc};

use gateway::{
    auth::{Identity, TokenError, Verified, Verify},
    context::RequestContext,
};

use crate::component::Digest;
use manifest::{AdminSettings, May};

/// The token that the host makes itself, as the history calls it.
const LOCAL: &str = "local";

/// All tokens of the admin listener.
pub struct Tokens(HashMap<Digest, Identity>);

impl Tokens {
    /// `local` is the host's own token, where there is one.
    pub fn new(settings: &AdminSettings, local: Option<&str>) -> Self {
        let identity = |name: &str, may: &mut dyn Iterator<Item = May>| {
            Identity::new(name, may.map(May::as_str)).expect("a checked name stands in a header")
        };
        let own = local.map(|text| (Digest::of(text.as_bytes()), identity(LOCAL, &mut May::ALL.into_iter())));
        let of_manifest = settings.tokens.iter().map(|(name, token)| {
            let digest = Digest::of(token.secret.reveal().as_bytes());
            (digest, identity(name, &mut token.may.iter().copied()))
        });
        Self(of_manifest.chain(own).collect())
    }
}

impl Verify for Tokens {
    fn verify<'a>(&'a self, token: &'a str) -> Verified<'a> {
        let known = self.0.get(&Digest::of(token.as_bytes())).cloned();
        Box::pin(std::future::ready(known.ok_or(TokenError::Refused("no admin token is this one"))))
    }
}

/// The name of the request's token, if it may do this.
pub(super) fn permitted(cx: &RequestContext, may: May) -> Option<Arc<str>> {
    let identity = cx.identity.as_ref()?;
    let roles = identity.roles.as_ref().and_then(|roles| roles.to_str().ok()).unwrap_or_default();
    roles.split(',').any(|role| role == may.as_str()).then(|| identity.subject().into())
}
