//! Components in a registry of OCI, and at addresses: fetched, and put there.
//!
//! Decides what is believed: nothing whose digest is not the one that was asked for, no answer longer than it may be, no
//! wait without an end. Encrypted, but for this machine's own registries and those that the manifest names. Whose
//! credentials are sent is Docker's own file's word (`registry/docker`).

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use manifest::{Environment, Image, Remote, Sha256};

mod artifact;
mod challenge;
mod docker;
mod error;
mod signature;
mod transport;

pub use artifact::About;
pub use error::RegistryError;
pub use signature::Proof;

use crate::http::Outbound;
use artifact::{Descriptor, MANIFEST_TYPES, layer};
use docker::Docker;
use transport::{Answer, Ask, Transport};

/// A component, in either direction.
const BLOB_MAX: Duration = Duration::from_secs(5 * 60);
/// What describes a component, in a registry.
const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// The largest component.
const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// A way to registries, with what this user may do there.
pub struct Registries {
    transport: Transport,
    docker: Docker,
}

/// A component that was fetched.
pub struct Fetched {
    pub wasm: Bytes,
    /// What pins it: of its manifest in the registry, or of the file.
    pub digest: Sha256,
}

impl Registries {
    /// `plain`: registries (host, and port if it has one of its own) that are spoken to without TLS, besides those of
    /// this machine.
    pub fn new(outbound: &Outbound, environment: &Environment, plain: BTreeSet<String>) -> Self {
        Self { transport: Transport::new(outbound.tls(), plain), docker: Docker::of(environment) }
    }

    /// What a tag stands for now. Cancel safe.
    ///
    /// # Errors
    /// When the registry does not say.
    pub async fn resolve(&self, image: &Image) -> Result<Sha256, RegistryError> {
        Ok(self.manifest(image).await?.1)
    }

    /// The component itself. Cancel safe.
    ///
    /// # Errors
    /// When it cannot be had, or is another one than was asked for.
    pub async fn fetch(&self, remote: &Remote) -> Result<Fetched, RegistryError> {
        match remote {
            Remote::Registry(image) => self.fetch_image(image).await,
            Remote::Address { uri, digest } => {
                let ask = Ask::get(uri.clone()).within(BLOB_MAX);
                let answer = self.transport.ask(&ask).await.map_err(|reason| unreached(uri, reason))?;
                let answer = successful(answer, || remote.to_string())?;
                let wasm = whole(answer, COMPONENT_BYTES_MAX, remote).await?;
                right(&wasm, *digest, remote)?;
                Ok(Fetched { wasm, digest: *digest })
            }
        }
    }

    async fn fetch_image(&self, image: &Image) -> Result<Fetched, RegistryError> {
        let (text, digest) = self.manifest(image).await?;
        let layer = layer(&text).map_err(|reason| RegistryError::NoComponent { of: image.to_string(), reason })?;
        if layer.size > COMPONENT_BYTES_MAX as u64 {
            return Err(RegistryError::TooLarge { of: image.to_string(), bytes_max: COMPONENT_BYTES_MAX });
        }
        let answer = self.blob(image, layer.digest).await?;
        let wasm = whole(answer, usize::try_from(layer.size).unwrap_or(COMPONENT_BYTES_MAX), image).await?;
        if wasm.len() as u64 != layer.size {
            let (has, of) = (wasm.len() as u64, image.to_string());
            return Err(RegistryError::Truncated { of, has, promised: layer.size });
        }
        right(&wasm, layer.digest, image)?;
        Ok(Fetched { wasm, digest })
    }

    /// A piece of an image; its digest is for the caller to compare.
    async fn blob(&self, image: &Image, digest: Sha256) -> Result<Answer, RegistryError> {
        let ask = Ask::get(self.uri(image, &format!("blobs/{digest}"))?).within(BLOB_MAX);
        successful(self.authorized(image, "pull", ask).await?, || image.to_string())
    }

    /// The manifest of an image, and what pins it.
    async fn manifest(&self, image: &Image) -> Result<(Bytes, Sha256), RegistryError> {
        let by = image.digest.map_or_else(|| image.tag.clone().unwrap_or_default(), |digest| digest.to_string());
        let mut ask = Ask::get(self.uri(image, &format!("manifests/{by}"))?);
        ask.accept = Some(HeaderValue::from_static(MANIFEST_TYPES));
        let answer = successful(self.authorized(image, "pull", ask).await?, || image.to_string())?;
        let text = whole(answer, MANIFEST_BYTES_MAX, image).await?;
        if let Some(digest) = image.digest {
            right(&text, digest, image)?;
        }
        let digest = Sha256::of(&text);
        Ok((text, digest))
    }

    /// Puts a component under a tag; what pins it from now on.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub async fn push(&self, image: &Image, wasm: Bytes, about: &About) -> Result<Sha256, RegistryError> {
        let tag = image.tag.clone().ok_or_else(|| RegistryError::NoTag { of: image.to_string() })?;
        let layer = Descriptor::of_component(&wasm);
        let config = about.to_json(&layer);
        let manifest = artifact::manifest(&Descriptor::of_config(&config), &layer);
        self.put_blob(image, wasm).await?;
        self.put_blob(image, config).await?;
        let digest = Sha256::of(&manifest);
        let mut ask = Ask::new(Method::PUT, self.uri(image, &format!("manifests/{tag}"))?);
        (ask.content, ask.body) = (artifact::MANIFEST, manifest);
        successful(self.authorized(image, "pull,push", ask).await?, || image.to_string())?;
        Ok(digest)
    }

    async fn put_blob(&self, image: &Image, blob: Bytes) -> Result<(), RegistryError> {
        let digest = Sha256::of(&blob);
        let there = Ask::new(Method::HEAD, self.uri(image, &format!("blobs/{digest}"))?);
        if self.authorized(image, "pull,push", there).await?.status == StatusCode::OK {
            return Ok(());
        }
        let begin = Ask::new(Method::POST, self.uri(image, "blobs/uploads/")?);
        let begun = successful(self.authorized(image, "pull,push", begin).await?, || image.to_string())?;
        let place = begun.location().ok_or_else(|| odd(image, "it named no place for an upload"))?;
        let and = if place.query().is_some() { '&' } else { '?' };
        let place = format!("{place}{and}digest={digest}").parse().map_err(|_wrong| odd(image, "no address"))?;
        let mut ask = Ask::new(Method::PUT, place).within(BLOB_MAX);
        (ask.content, ask.body) = ("application/octet-stream", blob);
        successful(self.authorized(image, "pull,push", ask).await?, || image.to_string())?;
        Ok(())
    }

    /// Asks, and once more with what the registry wants to be shown.
    async fn authorized(&self, image: &Image, may: &str, mut ask: Ask) -> Result<Answer, RegistryError> {
        let registry = &image.registry;
        let reach = |reason| RegistryError::Unreached { registry: registry.clone(), reason };
        let answer = self.transport.ask(&ask).await.map_err(reach)?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let known = self.docker.of_registry(registry);
        let known = known.map_err(|reason| RegistryError::Credentials { registry: registry.clone(), reason })?;
        let word = challenge::answered(&self.transport, &answer, known.as_ref(), (&image.repository, may)).await;
        let refused = |reason| RegistryError::Unauthorized { registry: registry.clone(), reason };
        ask.authorization = Some(word.map_err(refused)?);
        let answer = self.transport.ask(&ask).await.map_err(reach)?;
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let who =
                    if known.is_some() { "the credentials it has been shown" } else { "somebody without credentials" };
                Err(refused(format!("{who} may not `{may}` in `{}`", image.repository)))
            }
            _ => Ok(answer),
        }
    }

    fn uri(&self, image: &Image, path: &str) -> Result<Uri, RegistryError> {
        // Docker's own is called by another name than it has.
        let registry = if image.registry == "docker.io" { "registry-1.docker.io" } else { &image.registry };
        let scheme = self.transport.scheme(registry);
        let uri = format!("{scheme}://{registry}/v2/{}/{path}", image.repository);
        uri.parse().map_err(|_wrong| odd(image, "its name makes no address"))
    }
}

/// # Errors
/// What an answer means that is none.
fn successful(answer: Answer, of: impl FnOnce() -> String) -> Result<Answer, RegistryError> {
    match answer.status {
        status if status.is_success() => Ok(answer),
        StatusCode::NOT_FOUND => Err(RegistryError::NotThere { of: of() }),
        status => Err(RegistryError::Odd { of: of(), reason: format!("it answered {status}") }),
    }
}

async fn whole(answer: Answer, bytes_max: usize, of: &impl ToString) -> Result<Bytes, RegistryError> {
    let promised = answer.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if promised.is_some_and(|length: usize| length > bytes_max) {
        return Err(RegistryError::TooLarge { of: of.to_string(), bytes_max });
    }
    match answer.whole(bytes_max).await {
        Ok(Some(body)) => Ok(body),
        Ok(None) => Err(RegistryError::TooLarge { of: of.to_string(), bytes_max }),
        Err(reason) => Err(RegistryError::Odd { of: of.to_string(), reason }),
    }
}

fn right(content: &[u8], asked: Sha256, of: &impl ToString) -> Result<(), RegistryError> {
    match Sha256::of(content) {
        found if found == asked => Ok(()),
        found => Err(RegistryError::Another { of: of.to_string(), asked, found }),
    }
}

fn unreached(uri: &Uri, reason: String) -> RegistryError {
    RegistryError::Unreached { registry: uri.authority().map(ToString::to_string).unwrap_or_default(), reason }
}

fn odd(image: &Image, reason: &str) -> RegistryError {
    RegistryError::Odd { of: image.to_string(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
