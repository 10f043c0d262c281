//! The verifier of one issuer: form, key, signature and claims of a token, in this order.
//!
//! [`verify`] is the whole decision, without waiting and without a memory; a [`Verifier`] adds
//! keys that may change and tokens that are known already.

use std::sync::Arc;

use super::{
    Claims, KeySet, Rules, TokenError, Verified, Verify,
    claims::now,
    json,
    jws::Jws,
    key::NoKey,
    known::{Known, digest_of},
    source::Keys,
};

/// What `token` says, if it is true by `keys` and right by `rules` at `now`, in seconds since 1970.
///
/// # Errors
/// [`TokenError::Refused`] with the first thing that is wrong.
pub fn verify(keys: &KeySet, rules: &Rules, token: &str, now: f64) -> Result<Claims, TokenError> {
    let jws = Jws::parse(token).map_err(TokenError::Refused)?;
    keys.verify(&jws).map_err(NoKey::refused)?;
    Claims::read(&jws.payload, rules, now)
}

/// Who a token says that it is from, before anything of it is known to be true.
///
/// # Errors
/// It has not the form of a token.
pub(crate) fn issuer_of(token: &str) -> Result<String, TokenError> {
    let jws = Jws::parse(token).map_err(TokenError::Refused)?;
    let claims = json::object(&jws.payload).ok_or(TokenError::Refused("its payload is no JSON object of claims"))?;
    match claims.get("iss") {
        Some(serde_json::Value::String(issuer)) => Ok(issuer.clone()),
        _ => Err(TokenError::Refused("it does not say who it is from")),
    }
}

impl NoKey {
    fn refused(self) -> TokenError {
        match self {
            Self::Unknown => TokenError::Refused("its key is not known"),
            Self::Wrong(reason) => TokenError::Refused(reason),
        }
    }
}

/// Accepts the tokens of one issuer for one audience.
pub struct Verifier {
    rules: Rules,
    keys: Arc<Keys>,
    known: Known,
}

impl Verifier {
    pub fn new(rules: Rules, keys: Arc<Keys>) -> Self {
        Self { rules, keys, known: Known::new() }
    }

    async fn check(&self, token: &str) -> Result<super::Identity, TokenError> {
        let (now, digest) = (now(), digest_of(token));
        if let Some((identity, validity)) = self.keys.peek().and_then(|keys| self.known.get(&keys, &digest)) {
            self.keys.refresh();
            validity.check(now, self.rules.leeway)?;
            return Ok(identity);
        }
        let (claims, keys) = self.read(token, now).await?;
        self.known.add(&keys, digest, &claims.identity, claims.validity);
        Ok(claims.identity)
    }

    /// All that a token says, read anew each time.
    ///
    /// # Errors
    /// The first thing that is wrong with it, or no keys.
    pub(crate) async fn claims(&self, token: &str) -> Result<Claims, TokenError> {
        Ok(self.read(token, now()).await?.0)
    }

    async fn read(&self, token: &str, now: f64) -> Result<(Claims, Arc<KeySet>), TokenError> {
        let jws = Jws::parse(token).map_err(TokenError::Refused)?;
        let mut keys = self.keys.get().await?;
        let mut verified = keys.verify(&jws);
        // Without a name, a key that has been replaced shows only by signatures that are wrong.
        if verified == Err(NoKey::Unknown) || verified.is_err() && (jws.kid.is_none() || keys.is_nameless()) {
            keys = self.keys.newer().await?;
            verified = keys.verify(&jws);
        }
        verified.map_err(NoKey::refused)?;
        let claims = Claims::read(&jws.payload, &self.rules, now)?;
        Ok((claims, keys))
    }
}

impl Verify for Verifier {
    fn verify<'a>(&'a self, token: &'a str) -> Verified<'a> {
        Box::pin(self.check(token))
    }
}
