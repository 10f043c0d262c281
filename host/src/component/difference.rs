//! What a component imports, exports and says it needs, in words for people, and what changes from one to
//! another.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Component;
use crate::capability::requirement;

/// A change of one list of words.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Change {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub added: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<String>,
}

/// Words by what they are of: `imports`, `exports`, `needs`.
pub type Words = BTreeMap<String, BTreeSet<String>>;
/// What changed, by what it is of.
pub type Changes = BTreeMap<String, Change>;

impl Component {
    /// All of it.
    pub fn words(&self) -> Words {
        let import = |interface: &String| match requirement(interface).permission() {
            "" => interface.clone(),
            permission => format!("{interface} ({permission})"),
        };
        let needs = self.needs().map(|needs| needs.words()).unwrap_or_else(|problems| problems);
        let words = [
            ("imports", self.imports.iter().map(import).collect()),
            ("exports", self.exports.iter().cloned().collect()),
            ("needs", needs.into_iter().collect()),
        ];
        words.map(|(name, words)| (name.to_owned(), words)).into()
    }
}

/// What is in one and not in the other.
pub fn changes(old: &Words, new: &Words) -> Changes {
    let none = BTreeSet::new();
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| {
        let (old, new) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
        let beyond = |these: &BTreeSet<String>, those| these.difference(those).cloned().collect();
        Change { added: beyond(new, old), removed: beyond(old, new) }
    };
    let all = names.into_iter().map(|name| (name.clone(), change(name)));
    all.filter(|(_, change)| *change != Change::default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_what_went_is_told_and_nothing_else() {
        let needs = |text: &str| grant::Permissions::needs(text).unwrap().words().into_iter().collect();
        let words = |text: &str| Words::from([("needs".to_owned(), needs(text))]);
        let old = words("postgres = { users = \"read\" }\nnet = [\"a.example:443\"]\npasswords = true");
        let new = words(
            "postgres = { users = \"read-write\" }\nnet = [\"a.example:443\", \"b.example:443\"]\npasswords = true",
        );
        let changes = changes(&old, &new);
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(changes["needs"].added, set(&["net b.example:443", "postgres users (read-write)"]));
        assert_eq!(changes["needs"].removed, set(&["postgres users (read)"]));
        assert!(super::changes(&old, &old).is_empty());
    }
}
