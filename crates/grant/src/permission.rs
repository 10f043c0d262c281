//! What a permission is: its words in a file, its algebra, the lines and words that say it again.
//!
//! Each kind of permission is one file in this folder, with the decision it is for. All of them together
//! are [`Permissions`](super::Permissions). A new one is a file here, a field there, and the line that
//! names the file.
//!
//! The algebra, held by the laws in `tests`: what is printed reads back as the same; `within` never widens
//! and twice is once; after `plus` nothing lacks, but for what stands against it in the permission itself.

/// A permission that is there or not: its key, and which imports ask for it.
macro_rules! flag {
    ($type:ident, $key:literal, $asked_by:expr) => {
        impl Permission for $type {
            const KEY: &'static str = $key;
            const EXAMPLE: &'static str = concat!($key, " = true");
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
                self.0.then(|| $key.to_owned()).into_iter().collect()
            }

            fn is_asked_by(import: Import<'_>) -> bool {
                let asked_by: fn(Import<'_>) -> bool = $asked_by;
                asked_by(import)
            }
        }
    };
}

pub mod call;
pub mod env;
pub mod folder;
pub mod keyvalue;
pub mod net;
pub mod passwords;
pub mod postgres;
pub mod publish;
pub mod secrets;
pub mod sign;
pub mod sockets;
pub mod subscribe;
pub mod topic;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    str::FromStr,
    sync::Arc,
};

use document::{problem::Problem, source::Key};

use crate::Import;
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};

/// In the place of a name in a ceiling: every name that it does not write itself.
pub const ANY: &str = "*";

/// One kind of permission. Its default grants nothing.
pub trait Permission: Clone + Default + PartialEq + fmt::Debug + Sized {
    /// Its key in `services.NAME.permissions`.
    const KEY: &'static str;

    /// A line that grants some of it, to show.
    const EXAMPLE: &'static str;

    /// What stands there in a file; its comments are what an editor shows.
    type Raw: DeserializeOwned + JsonSchema;

    /// What was written, in checked form. Mistakes go to `reading`; whoever started it then throws
    /// everything away.
    fn read(raw: Self::Raw, key: &Key<'_>, reading: &mut Reading<'_>) -> Self;

    /// What this and a ceiling both allow.
    #[must_use]
    fn within(&self, ceiling: &Self) -> Self;

    /// What `need` asks for and this lacks.
    #[must_use]
    fn lacking(&self, need: &Self) -> Self;

    /// What either allows, denied where either denies.
    #[must_use]
    fn plus(&self, more: &Self) -> Self;

    /// The value that says it in TOML; none when it grants nothing.
    fn value(&self) -> Option<String>;

    /// The same for people, a word or two each: `postgres users (read)`.
    fn words(&self) -> Vec<String>;

    /// The words of those entries that decisions are made by while it runs, in their order.
    fn decided(&self) -> Vec<String> {
        self.words()
    }

    /// Whether a component that imports this leads the way to it.
    fn is_asked_by(_import: Import<'_>) -> bool {
        false
    }

    /// Whether nothing is granted.
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The line of `permissions` that says it; none when it grants nothing.
    fn line(&self) -> Option<String> {
        Some(format!("{} = {}", Self::KEY, self.value()?))
    }
}

/// How a service may use something that it can read and write.
// The variants carry no comments: the schema lists their words only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    Read,
    ReadWrite,
}

impl Mode {
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadWrite => "read-write",
        }
    }
}

/// Whose words are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// `services.NAME.permissions`, or a permission set.
    Manifest {
        /// `host.allow_unrestricted`.
        unrestricted: bool,
    },
    /// The operator's: names may be [`ANY`].
    Ceiling,
    /// A component's own, embedded in it.
    Component,
}

/// What all permissions are read with, and what was found wrong.
pub struct Reading<'r> {
    pub whose: Whose,
    /// Where relative paths start from; absolute.
    pub folder: &'r Path,
    pub problems: &'r mut Vec<Problem>,
    /// Right, but probably not what was meant.
    pub warnings: &'r mut Vec<Problem>,
}

impl Reading<'_> {
    pub fn wrong(&mut self, key: &Key<'_>, message: impl fmt::Display) {
        self.problems.push(key.problem(message));
    }

    pub fn warn(&mut self, key: &Key<'_>, message: impl fmt::Display) {
        self.warnings.push(key.problem(message));
    }

    pub fn keep<T, E: fmt::Display>(&mut self, key: &Key<'_>, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.wrong(key, error)).ok()
    }

    /// The right ones of a list of texts, with the key of each.
    fn list<'a, T: FromStr<Err: fmt::Display>>(&mut self, key: &Key<'a>, texts: &[String]) -> Vec<(Key<'a>, T)> {
        let parse = |(index, text): (usize, &String)| {
            let key = key.item(index);
            let right = self.keep(&key, text.parse())?;
            Some((key, right))
        };
        texts.iter().enumerate().filter_map(parse).collect()
    }

    /// A name as it is written. One of a manifest is looked up by the manifest itself; one of a ceiling
    /// may be the star, and must be able to be a name otherwise.
    fn name(&mut self, key: &Key<'_>, written: &str) -> Arc<str> {
        if self.whose == Whose::Ceiling && written != ANY {
            self.keep(key, document::name::check(written));
        }
        written.into()
    }
}

/// What is left of named things under a ceiling's; `narrow` says how far one goes under another.
fn both<T>(
    written: &BTreeMap<Arc<str>, T>,
    ceiling: &BTreeMap<Arc<str>, T>,
    narrow: impl Fn(&T, &T) -> Option<T>,
) -> BTreeMap<Arc<str>, T> {
    let narrowed = |(name, scope): (&Arc<str>, &T)| Some((name.clone(), narrow(scope, named(ceiling, name)?)?));
    written.iter().filter_map(narrowed).collect()
}

/// What is said of `name`, by itself or by the star.
fn named<'a, T>(all: &'a BTreeMap<Arc<str>, T>, name: &str) -> Option<&'a T> {
    all.get(name).or_else(|| all.get(ANY))
}

/// Those of either, each once, in their order.
fn union<T: Clone + PartialEq>(these: &[T], those: &[T]) -> Vec<T> {
    let mut all = these.to_vec();
    for one in those {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
    all
}

/// What meets of each of `these` with each of `those`, without what another of them covers.
fn meets<T: PartialEq>(these: &[T], those: &[T], meet: impl Fn(&T, &T) -> Option<T>) -> Vec<T> {
    let mut both: Vec<T> = Vec::new();
    let covers = |wide: &T, narrow: &T| meet(wide, narrow).as_ref() == Some(narrow);
    for one in these.iter().flat_map(|one| those.iter().filter_map(|other| meet(one, other))) {
        if !both.iter().any(|known| covers(known, &one)) {
            both.retain(|known| !covers(&one, known));
            both.push(one);
        }
    }
    both
}

/// A text as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// `["a", "b"]`; none for no item.
fn list_of<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> Option<String> {
    let items: Vec<String> = items.into_iter().map(|item| quoted(&item.to_string())).collect();
    (!items.is_empty()).then(|| format!("[{}]", items.join(", ")))
}

/// `{ a = 1, b = 2 }`; none for no item.
fn table_of<'a>(items: impl IntoIterator<Item = (&'a str, String)>) -> Option<String> {
    let item = |(name, value): (&str, String)| format!("{} = {value}", document::source::child("", name));
    let items: Vec<String> = items.into_iter().map(item).collect();
    (!items.is_empty()).then(|| format!("{{ {} }}", items.join(", ")))
}

/// `["a"]`, or `{ allow = ["a"], deny = ["b"] }`.
fn lists_of<T: fmt::Display>(allow: &[T], deny: &[T]) -> Option<String> {
    match (list_of(allow), list_of(deny)) {
        (allow, None) => allow,
        (allow, Some(deny)) => {
            Some(format!("{{ allow = {}, deny = {deny} }}", allow.unwrap_or_else(|| "[]".to_owned())))
        }
    }
}

/// Names that are granted as they are: `secrets`.
fn lacking_names(granted: &BTreeSet<Arc<str>>, need: &BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
    match granted.contains(ANY) {
        true => BTreeSet::new(),
        false => need.difference(granted).cloned().collect(),
    }
}
