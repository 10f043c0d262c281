//! One `[auth.NAME]` at work: it verifies what it is shown, and signs where it has the key.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use gateway::auth::{
    KeySet, Keys, Pace, PemError, PemKey, RolesClaim, Rules, SigningKey, Verifier, VerifyingKey, WeakKey,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    generated::{self, KeyFile, KeyFileError},
    jwks::{JwksAddress, JwksFile},
    place::{Kept, PATIENCE, Place},
    sharing::Sharing,
};
use grant::{Granted, Signing};
use manifest::{AuthSettings, KeySettings};

/// A file is cheap to read, and whoever changed it waits for that to count.
const FILES: Pace = Pace { every: Duration::from_secs(5), floor: Duration::from_millis(100) };
/// Others are not to be asked for every token that somebody made up.
const ADDRESSES: Pace = Pace { every: Duration::from_secs(5 * 60), floor: Duration::from_secs(10) };

/// Why the keys of an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    #[error("the key of `[auth.{name}]` cannot be used")]
    Pem {
        name: Arc<str>,
        #[source]
        source: PemError,
    },
    #[error("the secret of `[auth.{name}]` cannot be used")]
    Secret {
        name: Arc<str>,
        #[source]
        source: WeakKey,
    },
}

/// Why a token was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("`[auth.{0}]` has keys that only verify")]
    NoKey(Arc<str>),
    #[error("signing broke off")]
    Broken,
    #[error(transparent)]
    Failed(#[from] gateway::auth::SigningError),
}

/// An issuer of tokens.
pub struct Issuer {
    name: Arc<str>,
    issuer: String,
    audience: String,
    roles: RolesClaim,
    signer: Signer,
    verifier: Arc<Verifier>,
    /// Keeps its keys and those of other hosts the same.
    sharing: OnceLock<Sharing>,
}

#[derive(Clone)]
enum Signer {
    None,
    Fixed(Arc<SigningKey>),
    Generated(Arc<KeyFile>),
}

impl Issuer {
    /// # Errors
    /// When its keys cannot be used. Keys behind an address are fetched when they are needed.
    pub fn open(name: &Arc<str>, settings: &AuthSettings, data: &Path) -> Result<Self, IssuerError> {
        let (signer, keys) = keys(name, &settings.keys, data)?;
        let rules = Rules {
            issuer: Some(settings.issuer.clone()),
            audience: Some(settings.audience.clone()),
            roles: settings.roles.clone(),
            leeway: settings.leeway,
        };
        Ok(Self {
            name: name.clone(),
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            roles: settings.roles.clone(),
            signer,
            verifier: Arc::new(Verifier::new(rules, keys)),
            sharing: OnceLock::new(),
        })
    }

    /// Shares generated keys with the other hosts of the manifest `system`; waits for theirs, but not for long.
    pub(super) async fn share(&self, store: Kept, system: &str) {
        let Signer::Generated(file) = &self.signer else { return };
        if self.sharing.get().is_some() {
            return;
        }
        file.shared_by(Place::new(store, system, &self.name));
        // What fails is tried again, and told, by whoever sees to it from now on.
        let _first = tokio::time::timeout(PATIENCE, file.share()).await;
        self.sharing.get_or_init(|| Sharing::start(file.clone(), self.name.clone()));
    }

    pub fn verifier(&self) -> Arc<Verifier> {
        self.verifier.clone()
    }

    /// The public keys whose private halves the host has; a shared secret has none.
    pub async fn published(&self) -> Vec<VerifyingKey> {
        match self.signer.clone() {
            Signer::None => Vec::new(),
            Signer::Fixed(key) => vec![key.public().clone()],
            Signer::Generated(file) => {
                let public = |keys: &Vec<SigningKey>| keys.iter().map(|key| key.public().clone()).collect();
                tokio::task::spawn_blocking(move || public(&file.keys())).await.unwrap_or_default()
            }
        }
    }

    /// A token for a service that may have it. Cancel safe.
    ///
    /// # Errors
    /// [`SignError`] when there is no key or it does not work.
    pub async fn sign(self: &Arc<Self>, granted: &Granted<Signing>, subject: &str) -> Result<String, SignError> {
        let Signing { roles, ttl, .. } = granted.get();
        let is_quick = match &self.signer {
            Signer::Generated(file) => !file.is_due(),
            Signer::Fixed(key) => !key.is_slow(),
            Signer::None => true,
        };
        if is_quick {
            return self.sign_now(subject, roles, *ttl);
        }
        let (issuer, subject, roles, ttl) = (self.clone(), subject.to_owned(), roles.clone(), *ttl);
        let signing = tokio::task::spawn_blocking(move || issuer.sign_now(&subject, &roles, ttl));
        signing.await.map_err(|_broken| SignError::Broken)?
    }

    /// A token for whoever has the host's files in their hands anyway: its operator. Blocking.
    ///
    /// # Errors
    /// [`SignError`] when there is no key or it does not work.
    pub fn sign_now(&self, subject: &str, roles: &[String], ttl: Duration) -> Result<String, SignError> {
        let claims = self.claims(subject, roles, ttl);
        match &self.signer {
            Signer::None => Err(SignError::NoKey(self.name.clone())),
            Signer::Fixed(key) => Ok(key.sign(&claims)?),
            Signer::Generated(file) => {
                let keys = file.keys();
                let key = file.signer(&keys).ok_or_else(|| SignError::NoKey(self.name.clone()))?;
                Ok(key.sign(&claims)?)
            }
        }
    }

    fn claims(&self, subject: &str, roles: &[String], ttl: Duration) -> Map<String, Value> {
        // Whole seconds, as every reader of tokens understands them.
        let now = gateway::auth::now() as u64;
        let claims = json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "iat": now,
            "nbf": now,
            "exp": now + ttl.as_secs(),
            "jti": Uuid::now_v7().to_string(),
        });
        match claims {
            Value::Object(mut claims) => {
                self.roles.write(&mut claims, roles);
                claims
            }
            _ => Map::new(),
        }
    }
}

/// The keys of others, fetched when they are needed; none of what is no key set of others.
pub fn of_others(settings: &KeySettings) -> Option<Arc<Keys>> {
    match settings {
        KeySettings::JwksFile(path) => Some(Keys::from_source(Arc::new(JwksFile::new(path)), FILES, None)),
        KeySettings::Address { uri, ca } => {
            let source = JwksAddress::new(uri, ca.as_deref());
            Some(Keys::from_source(Arc::new(source), ADDRESSES, None))
        }
        _ => None,
    }
}

fn keys(name: &Arc<str>, settings: &KeySettings, data: &Path) -> Result<(Signer, Arc<Keys>), IssuerError> {
    let fixed = |key: &VerifyingKey| Keys::fixed(KeySet::new(vec![key.clone()]));
    let signer = |key: SigningKey| {
        let keys = fixed(key.public());
        (Signer::Fixed(Arc::new(key)), keys)
    };
    Ok(match settings {
        KeySettings::Generated { .. } => {
            let file = KeyFile::open(data, name)?;
            let first = generated::public(&file.keys());
            (Signer::Generated(file.clone()), Keys::from_source(file, FILES, Some(first)))
        }
        KeySettings::JwksFile(_) | KeySettings::Address { .. } => {
            (Signer::None, of_others(settings).expect("both are of others"))
        }
        KeySettings::Public(key) => (Signer::None, fixed(key)),
        KeySettings::Private(pem) => match PemKey::parse(pem.reveal(), None) {
            Ok(PemKey::Private(key)) => signer(key),
            Ok(PemKey::Public(key)) => (Signer::None, fixed(&key)),
            Err(source) => return Err(IssuerError::Pem { name: name.clone(), source }),
        },
        KeySettings::Secret(secret) => {
            let key = SigningKey::secret(secret.reveal().as_bytes());
            signer(key.map_err(|source| IssuerError::Secret { name: name.clone(), source })?)
        }
    })
}
