//! Whose work a span tells of: the gateway's, or a component's. Each is a service of its own to whoever
//! looks at traces.

use std::sync::Arc;

/// `service.name` and `service.version` of OpenTelemetry's resource conventions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    pub name: Arc<str>,
    pub version: Arc<str>,
}

impl Source {
    pub fn new(name: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), version: version.into() })
    }
}
