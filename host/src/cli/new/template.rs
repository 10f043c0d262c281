//! The files of a new project: texts of templates/, with the lines that were asked for.
//!
//! A line `#~ events` or `//~ events` begins lines for projects with events, up to the next such line; `end` ends them;
//! `!events` is for projects without.

use std::{collections::BTreeSet, path::PathBuf};

use include_dir::{Dir, include_dir};

static COMMON: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../templates/common");
static RUST: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../templates/rust");
static TYPESCRIPT: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../templates/typescript");

/// What a project has once, however many services are in it.
const PROJECT: [&str; 5] = [".github", "README.md", "archipel.toml", "migrations", "tests/system"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    TypeScript,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Postgres,
    KeyValue,
    Events,
}

/// What was asked for.
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) language: Language,
    pub(super) parts: BTreeSet<Part>,
    /// A service beside others: what is the project's own is there already.
    pub(super) is_added: bool,
    /// TypeScript on the quick engine.
    pub(super) is_quick: bool,
}

impl Choice {
    /// Whether lines under this word are wanted.
    fn has(&self, word: &str) -> bool {
        let with = |part| self.parts.contains(&part);
        match word {
            "rust" => self.language == Language::Rust,
            "ts" => self.language == Language::TypeScript,
            "added" => self.is_added,
            "quick" => self.is_quick,
            "postgres" => with(Part::Postgres),
            "keyvalue" => with(Part::KeyValue),
            "events" => with(Part::Events),
            "redis" => with(Part::KeyValue) || with(Part::Events),
            "posts" | "servers" => !self.parts.is_empty(),
            other => other.strip_prefix('!').is_none_or(|other| !self.has(other)),
        }
    }

    /// Files that are one part's, and those of a whole project.
    fn wants(&self, path: &str) -> bool {
        let is_project = PROJECT.iter().any(|own| path.starts_with(own));
        if is_project && self.is_added {
            return false;
        }
        let part = ["notes", "visits", "events"].iter().zip(["postgres", "keyvalue", "events"]);
        part.into_iter().find(|(file, _)| path.contains(*file)).is_none_or(|(_, part)| self.has(part))
    }

    fn text(&self, template: &str) -> String {
        let mut wanted = true;
        let mut text = String::new();
        for line in template.lines() {
            let begins = line.trim_start();
            match begins.strip_prefix("#~ ").or_else(|| begins.strip_prefix("//~ ")) {
                Some(word) => wanted = self.has(word.trim()),
                None if wanted => text.extend([line, "\n"]),
                None => {}
            }
        }
        text.replace("my-service", &self.name).replace("my_service", &self.name.replace('-', "_"))
    }
}

/// Each with its path in the project.
pub(super) fn files(choice: &Choice) -> Vec<(PathBuf, String)> {
    let own = match choice.language {
        Language::Rust => &RUST,
        Language::TypeScript => &TYPESCRIPT,
    };
    let all = texts(&COMMON).into_iter().chain(texts(own));
    let wanted = all.filter(|(path, _)| choice.wants(&path.to_string_lossy()));
    wanted.map(|(path, text)| (path, choice.text(text))).collect()
}

/// All texts below a folder, by their paths in it.
pub(super) fn texts(folder: &'static Dir<'static>) -> Vec<(PathBuf, &'static str)> {
    let own = folder.files().filter_map(|file| Some((file.path().to_owned(), file.contents_utf8()?)));
    own.chain(folder.dirs().flat_map(texts)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(language: Language, parts: &[Part]) -> Choice {
        Choice {
            name: "my-notes".to_owned(),
            language,
            parts: parts.iter().copied().collect(),
            is_added: false,
            is_quick: false,
        }
    }

    #[test]
    fn lines_are_those_that_were_asked_for() {
        let text = "a\n#~ postgres\nb\n  //~ !postgres\nc\n#~ end\nmy-service my_service\n";
        let of = |parts: &[Part]| choice(Language::Rust, parts).text(text);
        assert_eq!(of(&[Part::Postgres]), "a\nb\nmy-notes my_notes\n");
        assert_eq!(of(&[Part::Events]), "a\nc\nmy-notes my_notes\n");
    }

    #[test]
    fn every_choice_is_a_manifest_without_mistakes_and_names_only_its_own_files() {
        let every = [&[][..], &[Part::Postgres], &[Part::KeyValue], &[Part::Events], &[Part::Postgres, Part::Events]];
        for language in [Language::Rust, Language::TypeScript] {
            for parts in every {
                let place = tempfile::tempdir().unwrap();
                let folder = super::super::folder::Folder::fresh(place.path().join("my-notes")).unwrap();
                let files = files(&choice(language, parts));
                for (path, text) in &files {
                    folder.write(path, text).unwrap();
                    assert!(!text.contains("#~") && !text.contains("//~"), "{}", path.display());
                }
                let manifest = place.path().join("my-notes/archipel.toml");
                let loaded = manifest::Manifest::load(&manifest, &manifest::Environment::default());
                let warnings = loaded.unwrap_or_else(|problems| panic!("{parts:?}: {problems}")).warnings;
                assert_eq!(warnings.len(), 0, "{warnings:?}");
                let has = |name: &str| files.iter().any(|(path, _)| path.to_string_lossy().contains(name));
                assert_eq!(has("notes"), parts.contains(&Part::Postgres));
                assert_eq!(has("events"), parts.contains(&Part::Events));
            }
        }
    }
}
