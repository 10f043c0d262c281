//! What a component is called in a registry: the artifact that the WebAssembly group of the CNCF describes, which other
//! tools (wkg, wasmtime, Spin) push and pull too.

use bytes::Bytes;
use manifest::Sha256;
use serde::Deserialize;
use serde_json::json;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// What is read of a registry.
pub(super) const MANIFEST_TYPES: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";
/// As tools named it before there was a description.
const LAYER_BEFORE: &str = "application/vnd.wasm.content.layer.v1+wasm";

/// A piece of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    kind: &'static str,
    pub(super) digest: Sha256,
    pub(super) size: u64,
}

impl Descriptor {
    pub(super) fn of_component(wasm: &[u8]) -> Self {
        Self { kind: LAYER, digest: Sha256::of(wasm), size: wasm.len() as u64 }
    }

    pub(super) fn of_config(config: &[u8]) -> Self {
        Self { kind: CONFIG, digest: Sha256::of(config), size: config.len() as u64 }
    }

    fn to_json(&self) -> serde_json::Value {
        json!({ "mediaType": self.kind, "digest": self.digest.to_string(), "size": self.size })
    }
}

/// What a registry may show of a component without fetching it.
#[derive(Debug, Clone, Default)]
pub struct About {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

impl About {
    /// The same for the same component: a second push is the same artifact.
    pub(super) fn to_json(&self, layer: &Descriptor) -> Bytes {
        let config = json!({
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer.digest.to_string()],
            "component": { "imports": self.imports, "exports": self.exports },
        });
        config.to_string().into()
    }
}

pub(super) fn manifest(config: &Descriptor, layer: &Descriptor) -> Bytes {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json()],
    });
    manifest.to_string().into()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: u64,
}

/// Where the component of an artifact is.
///
/// # Errors
/// Why there is none.
pub(super) fn layer(manifest: &[u8]) -> Result<Descriptor, String> {
    let manifest: Manifest =
        serde_json::from_slice(manifest).map_err(|error| format!("its manifest cannot be read: {error}"))?;
    let [layer] = &*manifest.layers else {
        let of = manifest.media_type.unwrap_or_else(|| "unknown kind".to_owned());
        return Err(format!("it has {} layers, as an image for containers may ({of})", manifest.layers.len()));
    };
    if ![LAYER, LAYER_BEFORE].contains(&&*layer.media_type) {
        return Err(format!("what it holds is `{}`", layer.media_type));
    }
    Ok(Descriptor { kind: LAYER, digest: layer.digest.parse()?, size: layer.size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_found_again_and_nothing_else_is_taken_for_a_component() {
        let wasm = Descriptor::of_component(b"component");
        let config = About::default().to_json(&wasm);
        let written = manifest(&Descriptor::of_config(&config), &wasm);
        assert_eq!(layer(&written), Ok(wasm.clone()));
        assert_eq!(written, manifest(&Descriptor::of_config(&About::default().to_json(&wasm)), &wasm));
        let other = String::from_utf8(written.to_vec()).unwrap().replace(LAYER, "application/x-tar");
        assert!(layer(other.as_bytes()).unwrap_err().contains("x-tar"));
        assert!(layer(br#"{"layers":[]}"#).unwrap_err().contains("0 layers"));
        assert!(layer(b"<html>").unwrap_err().contains("cannot be read"));
    }
}
