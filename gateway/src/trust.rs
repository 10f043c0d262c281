//! Other hosts whose word is believed: which there are, what they may say, and of which services.
//!
//! Decides whether a request comes from one of them: by a certificate that an authority of the gateway vouches
//! for, or by a token of a minute that the other host signed for this one service. From nobody else is it
//! believed on whose behalf a service calls; what others say of that is thrown away by `headers`.

mod error;
mod token;
mod word;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use http::HeaderMap;

use crate::{auth::Keys, headers::X_ARCHIPEL_TOKEN, quiet::Quiet};
pub use error::TrustError;
use token::Tokens;
pub(crate) use word::Word;

/// The names in the certificate of a client: of DNS, and the last part of each `spiffe://` URI.
#[derive(Debug, Clone)]
pub(crate) struct PeerNames(pub(crate) Arc<[Arc<str>]>);

/// Hosts that are believed, by name.
#[derive(Default)]
pub struct Trust {
    peers: BTreeMap<Arc<str>, Peer>,
    tokens: Tokens,
    quiet: Quiet,
}

/// One of them.
pub struct Peer {
    /// The services here that it may speak to in the name of others.
    pub services: BTreeSet<Arc<str>>,
    /// What its tokens are signed with; none: only its certificate is believed.
    pub keys: Option<Arc<Keys>>,
}

impl Trust {
    pub fn new(peers: impl IntoIterator<Item = (Arc<str>, Peer)>) -> Self {
        let peers: BTreeMap<_, _> = peers.into_iter().collect();
        let keys = peers.iter().filter_map(|(name, peer)| Some((name.clone(), peer.keys.clone()?)));
        Self { tokens: Tokens::new(keys), peers, quiet: Quiet::default() }
    }

    /// What another host says of a request to `service`; none of a request that comes from none. Cancel safe.
    ///
    /// # Errors
    /// It says that it comes from one, and cannot prove it, or may not say so of this service.
    pub(crate) async fn word(
        &self,
        names: Option<&PeerNames>,
        headers: &HeaderMap,
        service: &str,
    ) -> Result<Option<Word>, TrustError> {
        if self.peers.is_empty() {
            return Ok(None);
        }
        if let Some(token) = headers.get(X_ARCHIPEL_TOKEN) {
            let (peer, said) = self.tokens.read(token, service).await?;
            self.may(&peer, service)?;
            return Ok(Some(said.with(headers)));
        }
        let Some(names) = names else { return Ok(None) };
        let Some((peer, _)) = names.0.iter().find_map(|name| self.peers.get_key_value(name)) else {
            self.stranger(names);
            return Ok(None);
        };
        let word = Word::of_certificate(peer, headers).map_err(TrustError::Token)?;
        self.may(peer, service)?;
        Ok(Some(word))
    }

    fn may(&self, peer: &Arc<str>, service: &str) -> Result<(), TrustError> {
        match self.peers.get(peer).is_some_and(|known| known.services.contains(service)) {
            true => Ok(()),
            false => Err(TrustError::NotFor { peer: peer.clone() }),
        }
    }

    fn stranger(&self, names: &PeerNames) {
        if let Some(kept_back) = self.quiet.may_say() {
            let names = names.0.join(", ");
            tracing::info!(
                names,
                keptBack = kept_back,
                "a client's certificate names nobody in `[trust]`; it is a client like any other"
            );
        }
    }
}

#[cfg(test)]
mod tests;
