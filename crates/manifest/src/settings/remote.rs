//! A component that is no file of this machine: in a registry of OCI, or at an address.
//!
//! `oci://registry.example.com/shop/users:1.2`, `oci://registry.example.com/shop/users@sha256:…`,
//! `https://example.com/users.wasm@sha256:…`. What a name stands for may change only where it is a tag.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use ring::digest;

/// Where a component is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    Registry(Image),
    Address { uri: http::Uri, digest: Sha256 },
}

/// What a registry knows a component by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Name or address, and the port where it is written.
    pub registry: String,
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<Sha256>,
}

/// `sha256:` and 64 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    pub fn of(bytes: &[u8]) -> Self {
        let mut of = [0; 32];
        of.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Self(of)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl FromStr for Sha256 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no digest; write `sha256:` and its 64 hexadecimal digits");
        let mut of = [0; 32];
        let digits = text.strip_prefix("sha256:").filter(|digits| !digits.contains(|c: char| c.is_ascii_uppercase()));
        hex::decode_to_slice(digits.ok_or_else(wrong)?, &mut of).map_err(|_wrong| wrong())?;
        Ok(Self(of))
    }
}

impl Remote {
    /// Whether `component` names one, and no file.
    pub fn is_meant(component: &str) -> bool {
        component.contains("://")
    }

    /// The name of a file for it: another one for whatever is written in another way.
    pub fn file_name(&self) -> String {
        format!("{}.wasm", &Sha256::of(self.to_string().as_bytes()).to_string()["sha256:".len()..])
    }

    /// A tag may stand for another component tomorrow.
    pub fn is_pinned(&self) -> bool {
        match self {
            Self::Registry(image) => image.digest.is_some(),
            Self::Address { .. } => true,
        }
    }
}

/// Where under `host.data` components are kept that were fetched.
pub fn pulled(data: &Path) -> PathBuf {
    data.join("pulled")
}

impl FromStr for Remote {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("oci", image)) => image.parse().map(Self::Registry),
            Some(("https", _)) => address(text),
            Some(("http", _)) => Err("a component is fetched over https; write `https://`".to_owned()),
            _ => Err("is neither a file nor `oci://…` nor `https://…`".to_owned()),
        }
    }
}

fn address(text: &str) -> Result<Remote, String> {
    let (uri, digest) = text
        .rsplit_once('@')
        .filter(|(_, digest)| digest.starts_with("sha256:"))
        .ok_or("says not which component is meant; end it with `@sha256:` and the digest of the file")?;
    let uri: http::Uri = uri.parse().map_err(|error| format!("`{uri}` is no address: {error}"))?;
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err("an address has a host and no password; put those of a registry where Docker keeps them".to_owned());
    }
    Ok(Remote::Address { uri, digest: digest.parse()? })
}

impl Image {
    /// Whether it is the name of a registry: a host, and a port if it has one of its own.
    pub fn is_registry(text: &str) -> bool {
        is_registry(text)
    }
}

impl FromStr for Image {
    type Err = String;

    /// Without `oci://`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse()?)),
            None => (text, None),
        };
        let (registry, path) = name.split_once('/').ok_or("names a registry and nothing in it")?;
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        if !is_registry(registry) {
            return Err(format!("`{registry}` is no registry; write its host, and its port if it has one of its own"));
        }
        if repository.len() > 255 || !repository.split('/').all(is_part) {
            return Err(format!(
                "`{repository}` is no repository; it has small letters, digits, `.`, `_`, `-` and `/`"
            ));
        }
        if tag.as_ref().is_some_and(|tag| !is_tag(tag)) {
            return Err("has no tag but something else after the `:`".to_owned());
        }
        if tag.is_none() && digest.is_none() {
            return Err(
                "says not which component is meant; end it with a tag, `:1.2`, or a digest, `@sha256:…`".to_owned()
            );
        }
        Ok(Self { registry: registry.into(), repository: repository.into(), tag, digest })
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            return rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        }
        _ => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let letters = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    host.split('.').all(letters) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Letters and digits, with single marks between them.
fn is_part(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.first().is_some_and(|b| plain(*b))
        && bytes.last().is_some_and(|b| plain(*b))
        && bytes.iter().all(|b| plain(*b) || matches!(b, b'.' | b'_' | b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.registry, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(image) => image.fmt(f),
            Self::Address { uri, digest } => write!(f, "{uri}@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn what_is_written_comes_back_and_names_a_file_of_its_own() {
        let mut names = std::collections::BTreeSet::new();
        for text in [
            "oci://registry.example.com/shop/users:1.2".to_owned(),
            format!("oci://registry.example.com/shop/users@{DIGEST}"),
            format!("oci://localhost:5000/users:latest@{DIGEST}"),
            "oci://[::1]:5000/a/b-c/d_e.f:v1".to_owned(),
            format!("https://example.com/builds/users.wasm?a=b@{DIGEST}"),
        ] {
            let remote: Remote = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(remote.to_string(), text);
            assert_eq!(remote.is_pinned(), text.contains(DIGEST));
            assert!(names.insert(remote.file_name()), "{text}");
        }
    }

    #[test]
    fn what_may_mean_anything_is_refused() {
        for (text, says) in [
            ("oci://registry.example.com/shop/users", "a tag"),
            ("oci://registry.example.com", "nothing in it"),
            ("oci://registry.example.com/Shop:1", "no repository"),
            ("oci://registry.example.com/../x:1", "no repository"),
            ("oci://registry.example.com/shop//x:1", "no repository"),
            ("oci://user:word@registry/x:1", "no digest"),
            ("oci://registry_/x:1", "no registry"),
            ("oci://registry:http/x:1", "no registry"),
            ("oci://registry/x:-1", "after the `:`"),
            ("oci://registry/x@sha256:12", "64 hexadecimal"),
            ("oci://registry/x@md5:12", "64 hexadecimal"),
            ("https://example.com/users.wasm", "end it with"),
            (
                "https://me:secret@example.com/users.wasm@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "no password",
            ),
            ("http://example.com/users.wasm", "https"),
            ("ftp://example.com/users.wasm", "neither"),
        ] {
            let error = text.parse::<Remote>().expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
