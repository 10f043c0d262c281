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

use crate::{
    deploy::Services,
    health,
    openapi::{self, Gathered, GatheredPart},
};
use manifest::{Access, Manifest, PartSettings, RouteSettings, Target};

/// The document of one set of services.
pub(super) struct Document {
    system: String,
    gathered: Vec<Gathered>,
    merged: ArcSwap<Value>,
    /// Held while it is merged, so that an older one never follows a newer.
    merging: Mutex<()>,
}

impl Document {
    pub(super) fn new(manifest: &Manifest, services: &Services) -> Self {
        let gathered: Vec<_> = manifest.routes.iter().filter_map(gathered).collect();
        let system = manifest.name.clone();
        let merged = ArcSwap::from_pointee(merge(&system, services, &gathered));
        Self { system, gathered, merged, merging: Mutex::default() }
    }

    /// A build of `services` has changed, and with it perhaps what it says of itself.
    pub(super) fn merge_anew(&self, services: &Services) {
        let _one_at_a_time = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        self.merged.store(Arc::new(merge(&self.system, services, &self.gathered)));
    }
}

/// What the document says of a route that is gathered.
fn gathered(settings: &RouteSettings) -> Option<Gathered> {
    let Target::Gather(parts) = &settings.target else { return None };
    let part = |part: &PartSettings| GatheredPart {
        name: part.name.clone(),
        from: part.from.to_string(),
        optional: part.default.is_some(),
    };
    let (path, public) = (settings.route.path.to_string(), settings.access == Access::Public);
    Some(Gathered { path, public, parts: parts.iter().map(part).collect() })
}

fn merge(system: &str, services: &Services, gathered: &[Gathered]) -> Value {
    let versions: Vec<_> = services.values().map(|deployed| deployed.service.version()).collect();
    let parts: Vec<_> = versions
        .iter()
        .filter_map(|version| {
            let document = version.component.sections.openapi.as_deref()?;
            Some(openapi::Part { service: &version.component.service, document })
        })
        .collect();
    openapi::merge(system, env!("CARGO_PKG_VERSION"), &parts, gathered)
}

impl Dispatch for Document {
    fn dispatch(&self, _: Arc<RequestContext>, _: Request<Body>) -> Dispatched<'_> {
        Box::pin(async { Ok(health::json(StatusCode::OK, &**self.merged.load())) })
    }
}
