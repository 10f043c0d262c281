//! `wasi:config/store`: the secrets that a service is granted, and the variables that it sees.
//!
//! A secret that the host puts into requests is not among them. A key that is neither reads as
//! absent, for programs ask for what is optional; what it would take is told once for each build. A
//! service that is granted nothing at all gets an error.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use wasmtime::component::Linker;

use self::bindings::wasi::config::store::Error;
use super::asking::Asking;
use backend::secrets::Secrets;
use grant::{Grants, permission::secrets};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "archipel:service/configuration",
        imports: { default: async | trappable },
        require_store_data_send: true,
    });
}

/// Keys of one build that are told; the others are counted.
const KEYS_TOLD_MAX: usize = 64;

/// What all instances of one build know.
pub struct Configuration {
    grants: Arc<Grants>,
    secrets: Arc<Secrets>,
    /// Variables that it sees.
    env: Arc<[(String, String)]>,
    told: Mutex<BTreeSet<String>>,
}

/// What an instance holds to be told.
#[derive(Clone)]
pub struct ConfigView {
    known: Arc<Configuration>,
    asking: Arc<Asking>,
}

/// What a store must hold for its guest to be told.
pub trait ConfigsView: Send + 'static {
    fn config(&self) -> &ConfigView;
}

pub fn add_to_linker<T: ConfigsView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    for version in grant::secrets::CONFIG_VERSIONS {
        let mut store = linker.instance(&format!("wasi:config/store@{version}"))?;
        store.func_wrap_async("get", |store, (key,): (String,)| {
            let view = store.data().config().clone();
            Box::new(async move { Ok((view.get(&key).await,)) })
        })?;
        store.func_wrap_async("get-all", |store, (): ()| {
            let view = store.data().config().clone();
            Box::new(async move { Ok((view.all().await,)) })
        })?;
    }
    Ok(())
}

impl Configuration {
    pub fn new(grants: Arc<Grants>, secrets: Arc<Secrets>, env: Arc<[(String, String)]>) -> Self {
        Self { grants, secrets, env, told: Mutex::default() }
    }

    fn is_empty(&self) -> bool {
        self.env.is_empty() && self.grants.secrets().next().is_none()
    }

    /// Whether this key is told for the first time.
    fn is_news(&self, key: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < KEYS_TOLD_MAX && told.insert(key.to_owned())
    }
}

type Values = Vec<(String, String)>;

impl ConfigView {
    pub fn new(known: Arc<Configuration>, asking: Arc<Asking>) -> Self {
        Self { known, asking }
    }

    async fn get(&self, key: &str) -> Result<Option<String>, Error> {
        let Configuration { grants, secrets, env, .. } = &*self.known;
        let denied = match grants.secret(key) {
            Ok(granted) => match secrets.value(&granted).await {
                Ok(Some(value)) => return Ok(Some(value.reveal().to_owned())),
                Ok(None) => None,
                Err(error) => return Err(Error::Io(error.to_string())),
            },
            Err(denied) => Some(denied),
        };
        if let Some((_, value)) = env.iter().find(|(name, _)| name == key) {
            return Ok(Some(value.clone()));
        }
        let Some(denied) = denied else { return Ok(None) };
        if self.known.is_empty() {
            self.asking.tell::<secrets::Secrets>(&denied);
            return Err(nothing_granted());
        }
        if self.known.is_news(key) {
            self.asking.tell::<secrets::Secrets>(&denied);
        }
        Ok(None)
    }

    async fn all(&self) -> Result<Values, Error> {
        let Configuration { grants, secrets, env, .. } = &*self.known;
        if self.known.is_empty() {
            self.asking.tell::<secrets::Secrets>(&grants.no_secrets());
            return Err(nothing_granted());
        }
        let mut all = Values::new();
        for granted in grants.secrets() {
            match secrets.value(&granted).await {
                Ok(Some(value)) => all.push((granted.get().name.to_string(), value.reveal().to_owned())),
                Ok(None) => {}
                Err(error) => return Err(Error::Io(error.to_string())),
            }
        }
        let others = env.iter().filter(|(name, _)| all.iter().all(|(secret, _)| secret != name)).cloned();
        let others: Vec<_> = others.collect();
        all.extend(others);
        Ok(all)
    }
}

fn nothing_granted() -> Error {
    Error::Upstream("no secret and no variable is granted to this component".into())
}
