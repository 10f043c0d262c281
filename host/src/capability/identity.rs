//! `archipel:identity`: tokens that the host signs, and passwords that it hashes.
//!
//! Each call is three steps: may it (the grant), do it (the backend), say it in WIT. No key and no
//! hash is looked at here.

use std::{sync::Arc, time::Duration};

use gateway::auth::Identity;
use wasmtime::component::{HasData, Linker};

use self::bindings::archipel::identity::{passwords, tokens};
use super::asking::{Asking, NAME_MAX_BYTES};
use backend::identity::{Identities, PasswordError};
use grant::{Denied, Permission, permission::passwords::Passwords, permission::sign::Sign};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "archipel:service/identities",
        imports: { default: async | trappable },
        require_store_data_send: true,
    });
}

/// What an instance holds to have tokens signed and passwords hashed.
pub struct IdentityView {
    asking: Arc<Asking>,
    identities: Arc<Identities>,
}

struct HasIdentities;

impl HasData for HasIdentities {
    type Data<'a> = &'a mut IdentityView;
}

/// What a store must hold for its guest to ask for tokens.
pub trait IdentitiesView: Send + 'static {
    fn identities(&mut self) -> &mut IdentityView;
}

pub fn add_to_linker<T: IdentitiesView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    tokens::add_to_linker::<_, HasIdentities>(linker, T::identities)?;
    passwords::add_to_linker::<_, HasIdentities>(linker, T::identities)
}

impl IdentityView {
    pub fn new(asking: Arc<Asking>, identities: Arc<Identities>) -> Self {
        Self { asking, identities }
    }

    /// Tells the operator which line would allow it, and the guest what was denied.
    fn denied<P: Permission>(&self, denied: &Denied) -> String {
        self.asking.tell::<P>(denied);
        denied.target.clone()
    }
}

type Signed = wasmtime::Result<Result<tokens::Token, tokens::Error>>;
type Answer<T> = wasmtime::Result<Result<T, passwords::Error>>;

impl tokens::Host for IdentityView {
    async fn sign(&mut self, auth: String, claims: tokens::Claims) -> Signed {
        if auth.len() > NAME_MAX_BYTES {
            return Ok(Err(tokens::Error::AccessDenied("no signer has so long a name".into())));
        }
        if claims.ttl_seconds == 0 {
            return Ok(Err(tokens::Error::Invalid("`ttl-seconds` is 0".into())));
        }
        if Identity::new(&claims.subject, claims.roles.iter().map(String::as_str)).is_err() {
            let rule = "`subject` and `roles` are 1 to 255 visible ASCII characters, at most 64 roles without `,`";
            return Ok(Err(tokens::Error::Invalid(rule.into())));
        }
        let ttl = Duration::from_secs(claims.ttl_seconds.into());
        let granted = match self.asking.grants.sign(&auth, claims.roles, ttl) {
            Ok(granted) => granted,
            Err(denied) => return Ok(Err(tokens::Error::AccessDenied(self.denied::<Sign>(&denied)))),
        };
        let Some(issuer) = self.identities.issuer(&granted.get().auth) else {
            return Ok(Err(tokens::Error::Other("this signer does not run".into())));
        };
        match issuer.sign(&granted, &claims.subject).await {
            Ok(value) => Ok(Ok(tokens::Token { value, expires_in_seconds: claims.ttl_seconds })),
            Err(error) => {
                tracing::error!(auth, "{}", document::problem::chain(&error));
                Ok(Err(tokens::Error::Other("the host could not sign".into())))
            }
        }
    }
}

impl passwords::Host for IdentityView {
    async fn hash(&mut self, password: String) -> Answer<String> {
        let granted = match self.asking.grants.passwords() {
            Ok(granted) => granted,
            Err(denied) => return Ok(Err(passwords::Error::AccessDenied(self.denied::<Passwords>(&denied)))),
        };
        Ok(self.identities.passwords.hash(&granted, password, self.asking.deadline()).await.map_err(error))
    }

    async fn verify(&mut self, password: String, hash: Option<String>) -> Answer<bool> {
        let granted = match self.asking.grants.passwords() {
            Ok(granted) => granted,
            Err(denied) => return Ok(Err(passwords::Error::AccessDenied(self.denied::<Passwords>(&denied)))),
        };
        Ok(self.identities.passwords.verify(&granted, password, hash, self.asking.deadline()).await.map_err(error))
    }
}

fn error(error: PasswordError) -> passwords::Error {
    match error {
        PasswordError::Invalid(reason) => passwords::Error::Invalid(reason.into()),
        PasswordError::Overloaded => passwords::Error::Overloaded,
        PasswordError::Broken => passwords::Error::Other("the host could not hash".into()),
    }
}
