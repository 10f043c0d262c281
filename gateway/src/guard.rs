//! Who may come in: the limit of the address, the token, whether there is such a route, the limit
//! of the subject, in this order.
//!
//! Another host of ours is asked for neither, where its word is believed: it asked already. The order is the contract: an unknown route asks for a token first, and a flood of bad tokens
//! meets the address limit before anything is verified.

use http::HeaderMap;

use crate::{
    admission::Settings,
    auth::{self, Access, Identity},
    context::RequestContext,
    error::GatewayError,
    limit::{Key, Limit, Quota},
    router::{Entry, NoMatch},
    trust::{PeerNames, Word},
};

/// What was found out about a request on its way in, also when it was refused.
#[derive(Default)]
pub(crate) struct Entrance {
    pub(crate) identity: Option<Identity>,
    /// What another host says of it, which is believed.
    pub(crate) word: Option<Word>,
    /// The tightest of the limits that counted it.
    pub(crate) quota: Option<Quota>,
}

impl Entrance {
    /// Cancel safe: what was counted stays counted.
    ///
    /// # Errors
    /// The first rule that the request does not pass.
    pub(crate) async fn pass<'a>(
        &mut self,
        settings: &Settings,
        cx: &RequestContext,
        (headers, names): (&HeaderMap, Option<&PeerNames>),
        found: Result<&'a Entry, NoMatch>,
    ) -> Result<&'a Entry, GatewayError> {
        if let Ok(entry) = found
            && entry.exempt
        {
            return Ok(entry);
        }
        if let Some(trust) = &settings.trust {
            let service = found.as_ref().map_or("", |entry| &entry.label);
            self.word = trust.word(names, headers, service).await?;
        }
        if let Some(word) = &self.word {
            self.identity = word.identity.clone();
            return self.subject_may(cx, found?).await;
        }
        if let Some(limit) = &settings.limit {
            self.take(&**limit, Key::Address(cx.client)).await?;
        }
        let access = found.as_ref().map_or(&settings.access, |entry| &entry.access);
        if let Access::Token(verifier) = access {
            self.identity = Some(verifier.verify(auth::bearer(headers)?).await?);
        }
        self.subject_may(cx, found?).await
    }

    /// The limit of the subject.
    async fn subject_may<'a>(&mut self, cx: &RequestContext, entry: &'a Entry) -> Result<&'a Entry, GatewayError> {
        if let Some(limit) = &entry.limit {
            let subject = self.identity.clone();
            let key = subject.as_ref().map_or(Key::Address(cx.client), |identity| Key::Subject(identity.subject()));
            self.take(&**limit, key).await?;
        }
        Ok(entry)
    }

    async fn take(&mut self, limit: &dyn Limit, key: Key<'_>) -> Result<(), GatewayError> {
        let quota = limit.take(key).await;
        self.quota = Some(quota.tighter(self.quota.take()));
        match quota.retry_after {
            Some(seconds) => Err(GatewayError::RateLimited { seconds }),
            None => Ok(()),
        }
    }
}
