//! Which file of a crate uses which, and where they use each other in a circle.
//!
//! An arrow goes from the file that names a thing to the file that defines it, through whatever
//! re-exports lie between. Declaring a child is no arrow, nor is handing its names on (`pub use`)
//! without using them. Works on texts that [`super::source`] has stripped; reads no files.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::{Import, children, imports, paths_in_code};

/// A module's path from the crate's root.
type Place = Vec<String>;

/// The files of one crate.
pub struct Crate {
    modules: BTreeMap<Place, Module>,
}

struct Module {
    file: String,
    text: String,
    children: BTreeSet<String>,
    imports: Vec<Import>,
}

/// What a path means: something in a module, or all of it.
struct Home {
    place: Place,
    is_whole: bool,
}

/// Files that use each other, and what each names of the others.
#[derive(Debug, PartialEq, Eq)]
pub struct Circle {
    pub files: BTreeSet<String>,
    pub arrows: Vec<String>,
}

impl Crate {
    /// `files` are names from `src` on, and their texts.
    pub fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let module = |(file, text): (String, String)| {
            let (children, imports) = (children(&text), imports(&text));
            (place(&file), Module { file, text, children, imports })
        };
        Self { modules: files.into_iter().map(module).collect() }
    }

    /// The largest sets of files of which each uses each, by way of others or at once.
    pub fn circles(&self) -> Vec<Circle> {
        let arrows = self.arrows();
        let mut to: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (from, onto) in arrows.keys() {
            to.entry(from).or_default().push(onto);
        }
        let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for module in self.modules.values() {
            let (mut found, mut next) = (BTreeSet::new(), vec![module.file.as_str()]);
            while let Some(file) = next.pop() {
                next.extend(to.get(file).into_iter().flatten().filter(|to| found.insert(**to)));
            }
            reached.insert(&module.file, found);
        }
        let together = |file: &str| -> BTreeSet<String> {
            reached[file]
                .iter()
                .filter(|other| reached[**other].contains(file))
                .map(|other| (*other).to_owned())
                .collect()
        };
        let sets: BTreeSet<_> = reached.keys().map(|file| together(file)).filter(|set| set.len() > 1).collect();
        let circle = |files: BTreeSet<String>| {
            let inside = arrows.iter().filter(|((from, to), _)| files.contains(from) && files.contains(to));
            let arrows = inside.map(|((from, to), name)| format!("{from} -> {to} ({name})")).collect();
            Circle { files, arrows }
        };
        sets.into_iter().map(circle).collect()
    }

    /// From file to file, with one name that makes it so.
    fn arrows(&self) -> BTreeMap<(String, String), String> {
        let mut arrows = BTreeMap::new();
        for (place, module) in &self.modules {
            let taken = module.imports.iter().filter(|import| !import.is_public || module.uses(&import.name));
            // Of a whole module it is the paths through it that say what is used.
            let names = taken.filter(|import| !self.is_module(place, &import.path)).map(|import| import.path.clone());
            for path in names.chain(paths_in_code(&module.text)) {
                let Some(home) = self.home(place, &path, 0) else { continue };
                let home = &self.modules[&home.place];
                if home.file != module.file {
                    arrows.entry((module.file.clone(), home.file.clone())).or_insert_with(|| path.join("::"));
                }
            }
        }
        arrows
    }

    fn is_module(&self, from: &Place, path: &[String]) -> bool {
        self.home(from, path, 0).is_some_and(|home| home.is_whole)
    }

    /// The module that defines what `path` means in `from`; none for what other crates define.
    fn home(&self, from: &Place, path: &[String], depth: usize) -> Option<Home> {
        let module = self.modules.get(from)?;
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            // A re-export of itself under the same name would never end.
            _ if depth > 8 => None,
            "crate" => self.defines(Place::new(), rest, depth),
            "self" => self.defines(from.clone(), rest, depth),
            "super" => {
                let parent = &from[..from.len().checked_sub(1)?];
                match rest.first().is_some_and(|next| next == "super") {
                    true => self.home(&parent.to_vec(), rest, depth + 1),
                    false => self.defines(parent.to_vec(), rest, depth),
                }
            }
            name if module.children.contains(name) => self.defines(from.clone(), path, depth),
            name => {
                let import = module.imports.iter().find(|import| import.name == *name && import.path != path)?;
                self.home(from, &import.path.iter().chain(rest).cloned().collect::<Vec<_>>(), depth + 1)
            }
        }
    }

    /// The module that defines what `path` means, seen from outside of `at`.
    fn defines(&self, mut at: Place, path: &[String], depth: usize) -> Option<Home> {
        let mut rest = path;
        while let Some((name, further)) = rest.split_first() {
            let below: Place = at.iter().chain([name]).cloned().collect();
            if !self.modules.contains_key(&below) {
                break;
            }
            (at, rest) = (below, further);
        }
        let Some(name) = rest.first() else { return Some(Home { place: at, is_whole: true }) };
        let module = self.modules.get(&at)?;
        let here = || Some(Home { place: at.clone(), is_whole: false });
        if module.has(name) {
            return here();
        }
        if let Some(import) = module.imports.iter().find(|import| import.name == *name) {
            // Of another crate: whoever hands it on is as good as its author.
            return self.home(&at, &import.path, depth + 1).or_else(here);
        }
        let globs = module.imports.iter().filter(|import| import.name == "*");
        let mut found = globs.filter_map(|glob| self.home(&at, &glob.path, depth + 1));
        let found = found.find(|home| self.modules[&home.place].has(name));
        found.map(|home| Home { is_whole: false, ..home }).or_else(here)
    }
}

impl Module {
    /// Whether it defines an item of this name.
    fn has(&self, name: &str) -> bool {
        let kinds = ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "mod", "macro_rules!"];
        kinds.iter().any(|kind| {
            self.text.match_indices(&format!("{kind} {name}")).any(|(at, found)| {
                let after = self.text[at + found.len()..].chars().next();
                !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
            })
        })
    }

    /// Whether a name that it hands on is also used here.
    fn uses(&self, name: &str) -> bool {
        let words = self.text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| *word == name);
        let imported = self.imports.iter().filter(|import| import.path.iter().any(|part| part == name));
        words.count() > imported.count()
    }
}

fn place(file: &str) -> Place {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| !["lib", "main"].contains(part)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::Crate;

    #[track_caller]
    fn check(files: &[(&str, &str)], circles: &[&[&str]]) {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let found: Vec<Vec<String>> =
            Crate::new(files).circles().into_iter().map(|circle| circle.files.into_iter().collect()).collect();
        assert_eq!(found, circles);
    }

    #[test]
    fn two_files_that_use_each_other_are_a_circle() {
        check(
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use super::b::B; struct A;"),
                ("b.rs", "use crate::a::A; struct B;"),
            ],
            &[&["a.rs", "b.rs"]],
        );
        check(&[("lib.rs", "mod a; mod b;"), ("a.rs", "use super::b::B;"), ("b.rs", "struct B;")], &[]);
    }

    #[test]
    fn a_circle_by_way_of_others_is_one() {
        let files = [
            ("a.rs", "fn a() { super::b::b() }"),
            ("b.rs", "use super::c; fn b() { c::c() }"),
            ("c.rs", "use crate::{a::{self as first}, d}; fn c() { first::a(); d::D }"),
            ("d.rs", "struct D;"),
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ];
        check(&files, &[&["a.rs", "b.rs", "c.rs"]]);
    }

    #[test]
    fn a_parent_that_declares_and_hands_on_uses_nothing() {
        let child = ("a/b.rs", "use super::A; pub struct B(A);");
        check(&[("a.rs", "mod b; pub use b::B; pub struct A;"), child], &[]);
        check(&[("a.rs", "mod b; pub use b::B; pub struct A; fn c(_: B) {}"), child], &[&["a.rs", "a/b.rs"]]);
        check(&[("a.rs", "mod b; pub struct A; fn c(_: b::B) {}"), child], &[&["a.rs", "a/b.rs"]]);
    }

    #[test]
    fn a_name_handed_on_by_the_parent_belongs_to_who_defines_it() {
        let parent = ("a.rs", "mod b; mod c; use self::b::B; pub use c::*; fn a(_: B) {}");
        check(&[parent, ("a/b.rs", "pub struct B;"), ("a/c.rs", "use super::B; pub struct C(B);")], &[]);
        let circle = ("a/b.rs", "use super::C; pub struct B(C);");
        check(&[parent, circle, ("a/c.rs", "use super::B; pub struct C(B);")], &[&["a/b.rs", "a/c.rs"]]);
    }

    #[test]
    fn inner_modules_and_visibility_are_no_arrows() {
        check(
            &[
                ("a.rs", "mod b; use b::B; mod inner { use super::B; use super::super::c::C; }"),
                ("a/b.rs", "pub(in crate::a) struct B;"),
                ("c.rs", "struct C;"),
            ],
            &[],
        );
    }
}
