//! `GET /openapi.json`: one document for the builds that are live, merged when one of them changes.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use gateway::{
    body::Body,
    context::RequestContext,
    dispatch::{Dispatch, Dispatched},
};
use http::{Request, StatusCode};
use serde_json::Value;

use crate::{deploy::Services, health, openapi};

/// The document of one set of services.
pub(super) struct Document {
    system: String,
    merged: ArcSwap<Value>,
    /// Held while it is merged, so that an older one never follows a newer.
    merging: Mutex<()>,
}

impl Document {
    pub(super) fn new(system: &str, services: &Services) -> Self {
        let merged = ArcSwap::from_pointee(merge(system, services));
        Self { system: system.to_owned(), merged, merging: Mutex::default() }
    }

    /// A build of `services` has changed, and with it perhaps what it says of itself.
    pub(super) fn merge_anew(&self, services: &Services) {
        let _one_at_a_time = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        self.merged.store(Arc::new(merge(&self.system, services)));
    }
}

fn merge(system: &str, services: &Services) -> Value {
    let versions: Vec<_> = services.values().map(|deployed| deployed.service.version()).collect();
    let parts: Vec<_> = versions
        .iter()
        .filter_map(|version| {
            let document = version.component.sections.openapi.as_deref()?;
            Some(openapi::Part { service: &version.component.service, document })
        })
        .collect();
    openapi::merge(system, env!("CARGO_PKG_VERSION"), &parts)
}

impl Dispatch for Document {
    fn dispatch(&self, _: Arc<RequestContext>, _: Request<Body>) -> Dispatched<'_> {
        Box::pin(async { Ok(health::json(StatusCode::OK, &**self.merged.load())) })
    }
}
