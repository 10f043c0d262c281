//! Signatures of components, as `cosign sign --key` puts them beside what they are of: an artifact under the tag
//! `sha256-DIGEST.sig`, each layer a statement that names the digest, with its signature in an annotation.
//!
//! Decides which of them vouches: one whose statement is of this very digest and whose signature is of one of the keys that
//! the manifest names. Who is named in the statement besides, and what a transparency log would say, is not looked at.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use gateway::auth::VerifyingKey;
use manifest::{Image, Sha256};
use serde::{Deserialize, Serialize};

use super::{Registries, RegistryError, right, whole};

/// A statement is some hundred bytes.
const STATEMENT_BYTES_MAX: usize = 64 << 10;
/// Of as many signers.
const SIGNATURES_MAX: usize = 32;
const STATEMENT: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// A statement with its signature: with the key it is proof of what was signed, whoever keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    statement: String,
    /// In Base64.
    signature: String,
}

#[derive(Deserialize)]
struct Artifact {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Statement {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Signed,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

impl Proof {
    /// Whether one of `keys` has signed `digest`.
    pub fn holds(&self, digest: &str, keys: &[VerifyingKey]) -> bool {
        let Ok(signature) = STANDARD.decode(&self.signature) else { return false };
        let statement = serde_json::from_str::<Statement>(&self.statement);
        statement.is_ok_and(|statement| statement.critical.image.digest == digest)
            && keys.iter().any(|key| key.has_signed(self.statement.as_bytes(), &signature))
    }
}

impl Registries {
    /// What proves that one of `keys` has signed `digest` of an image. Cancel safe.
    ///
    /// # Errors
    /// When nobody has signed it, others have, or the registry does not say.
    pub async fn proof(&self, image: &Image, digest: Sha256, keys: &[VerifyingKey]) -> Result<Proof, RegistryError> {
        let image = &Image { tag: None, digest: Some(digest), ..image.clone() };
        let unsigned = |found| RegistryError::Unsigned { of: image.to_string(), found };
        let tag = Some(format!("{}.sig", digest.to_string().replace(':', "-")));
        let (text, _) = match self.manifest(&Image { tag, digest: None, ..image.clone() }).await {
            Err(RegistryError::NotThere { .. }) => return Err(unsigned(0)),
            found => found?,
        };
        let odd = |reason: String| RegistryError::Odd { of: image.to_string(), reason };
        let artifact: Artifact =
            serde_json::from_slice(&text).map_err(|error| odd(format!("its signatures cannot be read: {error}")))?;
        let layers: Vec<_> = artifact.layers.iter().filter(|layer| layer.media_type == STATEMENT).collect();
        for layer in layers.iter().take(SIGNATURES_MAX) {
            let Some(signature) = layer.annotations.get(ANNOTATION).cloned() else { continue };
            if layer.size > STATEMENT_BYTES_MAX as u64 {
                continue;
            }
            let statement = self.statement(image, layer.digest.parse().map_err(odd)?).await?;
            let Ok(statement) = String::from_utf8(statement.into()) else { continue };
            let proof = Proof { statement, signature };
            if proof.holds(&digest.to_string(), keys) {
                return Ok(proof);
            }
        }
        Err(unsigned(layers.len()))
    }

    async fn statement(&self, image: &Image, digest: Sha256) -> Result<Bytes, RegistryError> {
        let answer = self.blob(image, digest).await?;
        let statement = whole(answer, STATEMENT_BYTES_MAX, image).await?;
        right(&statement, digest, image)?;
        Ok(statement)
    }
}
