//! By which exports requests come into a component. Which of two a request takes is `service`'s to say.

use std::fmt;

/// The export for whole requests, as plain values.
pub const QUICK: &str = "archipel:http/handler@0.1.0";
/// The export of the standard, of whatever patch release.
const STANDARD: &str = "wasi:http/incoming-handler@0.2.";

/// What a component exports for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doors {
    /// `wasi:http/incoming-handler@0.2`.
    pub standard: bool,
    /// `archipel:http/handler`.
    pub quick: bool,
}

impl Doors {
    pub(super) fn of(exports: &[String]) -> Self {
        Self {
            standard: exports.iter().any(|export| export.starts_with(STANDARD)),
            quick: exports.iter().any(|export| export == QUICK),
        }
    }

    /// Whether requests can come in at all.
    pub fn are_some(self) -> bool {
        self.standard || self.quick
    }

    /// By their packages: `wasi:http`, `archipel:http`.
    pub fn words(self) -> Vec<&'static str> {
        let standard = self.standard.then_some("wasi:http");
        standard.into_iter().chain(self.quick.then_some("archipel:http")).collect()
    }
}

impl fmt::Display for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_an_export_of_a_version_that_the_host_knows() {
        let of = |exports: &[&str]| Doors::of(&exports.iter().map(|&export| export.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["wasi:http/incoming-handler@0.2.4", QUICK]).to_string(), "wasi:http, archipel:http");
        assert_eq!(of(&["a:b/c", QUICK]).words(), ["archipel:http"]);
        for none in ["wasi:http/incoming-handler@0.3.0", "archipel:http/handler@0.2.0", "archipel:http/handler"] {
            assert!(!of(&[none]).are_some(), "{none}");
        }
    }
}
