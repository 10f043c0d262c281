//! A toy: shows that a new permission is one file, one field and one line.

use document::source::Key;

use super::{Permission, Reading};

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Toy(pub bool);

impl Permission for Toy {
    const KEY: &'static str = "toy";
    const EXAMPLE: &'static str = "toy = true";
    type Raw = bool;

    fn read(raw: bool, _key: &Key<'_>, _reading: &mut Reading<'_>) -> Self {
        Self(raw)
    }

    fn within(&self, ceiling: &Self) -> Self {
        Self(self.0 && ceiling.0)
    }

    fn lacking(&self, need: &Self) -> Self {
        Self(need.0 && !self.0)
    }

    fn plus(&self, more: &Self) -> Self {
        Self(self.0 || more.0)
    }

    fn value(&self) -> Option<String> {
        self.0.then(|| "true".to_owned())
    }

    fn words(&self) -> Vec<String> {
        self.0.then(|| "toy".to_owned()).into_iter().collect()
    }
}
