//! Names to addresses, once for each connection.

use std::{future::Future, io, net::IpAddr, pin::Pin, sync::Arc};

type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// The system's resolver, or a test's.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Fn(String) -> Resolving + Send + Sync>);

impl Resolver {
    pub fn system() -> Self {
        Self::from_fn(|name| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        })
    }

    pub fn from_fn(resolve: impl Fn(String) -> Resolving + Send + Sync + 'static) -> Self {
        Self(Arc::new(resolve))
    }

    pub(super) async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        (self.0)(name.to_owned()).await
    }
}
