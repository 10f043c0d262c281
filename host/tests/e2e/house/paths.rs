//! The paths that a stripped source file writes: its imports one by one, and those in its code.

use std::collections::BTreeSet;

/// One name that a `use` brings into a file; `*` for all of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub path: Vec<String>,
    pub name: String,
    pub is_public: bool,
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_part(c)).unwrap_or(text.len())]
}

/// Where `name` stands as a word of its own.
fn places<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = usize> {
    let alone = move |at: &usize| !text[..*at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part);
    text.match_indices(name).map(|(at, _)| at).filter(alone)
}

/// Modules that it declares and that have files of their own.
pub fn children(text: &str) -> BTreeSet<String> {
    let declared = places(text, "mod").map(|at| text[at + 3..].trim_start());
    let of_files = declared.filter(|rest| rest[word(rest).len()..].trim_start().starts_with(';'));
    of_files.map(|rest| word(rest).to_owned()).collect()
}

/// All imports, in the order of the file.
pub fn imports(text: &str) -> Vec<Import> {
    let inner = inner_modules(text);
    let mut found = Vec::new();
    for at in places(text, "use") {
        let rest = &text[at + 3..];
        let tree: String =
            rest[..rest.find(';').unwrap_or(rest.len())].split_whitespace().collect::<Vec<_>>().join(" ");
        let before = text[..at].trim_end();
        let is_public = before.ends_with("pub")
            || before.ends_with(')') && before.rsplit('(').nth(1).is_some_and(|before| before.ends_with("pub"));
        let mut names = Vec::new();
        expand(&[], &tree, &mut names);
        let depth = depth_at(&inner, at);
        found.extend(names.into_iter().map(|(path, name)| Import { path: as_outside(path, depth), name, is_public }));
    }
    found
}

/// `a::{b, c as d}` is `a::b` as `b` and `a::c` as `d`.
fn expand(before: &[String], tree: &str, found: &mut Vec<(Vec<String>, String)>) {
    let (own, list) = match tree.split_once('{') {
        Some((own, list)) => (own, Some(list.trim_end().trim_end_matches('}'))),
        None => (tree, None),
    };
    let (own, alias) = own.split_once(" as ").unwrap_or((own, ""));
    let mut path = before.to_vec();
    path.extend(own.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
    match list {
        Some(list) => branches(list).into_iter().for_each(|branch| expand(&path, branch, found)),
        None => {
            // `a::{self}` is `a`.
            if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            let is_glob = path.last().is_some_and(|last| last == "*");
            let name =
                if alias.is_empty() { path.last().cloned().unwrap_or_default() } else { alias.trim().to_owned() };
            path.truncate(path.len() - usize::from(is_glob));
            found.extend((!path.is_empty()).then_some((path, name)));
        }
    }
}

/// What commas outside of braces part.
fn branches(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0_usize, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(list[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(list[from..].trim());
    found.retain(|branch| !branch.is_empty());
    found
}

/// Paths of two segments and more outside of imports.
pub fn paths_in_code(text: &str) -> Vec<Vec<String>> {
    let inner = inner_modules(text);
    let imported: Vec<(usize, usize)> =
        places(text, "use").map(|at| (at, at + text[at..].find(';').unwrap_or_default())).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(is_part).map(|next| at + next) {
        let mut path = vec![word(&text[start..]).to_owned()];
        at = start + path[0].len();
        while let Some(next) = text[at..].strip_prefix("::").map(word).filter(|next| !next.is_empty()) {
            path.push(next.to_owned());
            at += 2 + next.len();
        }
        let before = text[..start].trim_end();
        let is_rest = before.ends_with("::") || before.ends_with('.') && !before.ends_with("..");
        let is_visibility = before.ends_with("(in");
        let is_import = imported.iter().any(|(from, until)| (*from..*until).contains(&start));
        if path.len() > 1 && !is_rest && !is_visibility && !is_import {
            found.push(as_outside(path, depth_at(&inner, start)));
        }
    }
    found
}

/// What a path inside of so many modules of one file means outside of them.
fn as_outside(path: Vec<String>, depth: usize) -> Vec<String> {
    let up = path.iter().take(depth).take_while(|part| *part == "super").count();
    match up {
        0 => path,
        _ if path.get(up).is_some_and(|part| part == "super") => path[up..].to_vec(),
        _ => ["self".to_owned()].into_iter().chain(path[up..].iter().cloned()).collect(),
    }
}

/// From where to where `mod name { … }` goes.
fn inner_modules(text: &str) -> Vec<(usize, usize)> {
    let body = |at: usize| {
        let rest = text[at + 3..].trim_start();
        let open = text.len() - rest[word(rest).len()..].trim_start().len();
        text[open..].starts_with('{').then(|| (open, open + group(&text[open..])))
    };
    places(text, "mod").filter_map(body).collect()
}

fn group(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text.len()
}

fn depth_at(inner: &[(usize, usize)], at: usize) -> usize {
    inner.iter().filter(|(from, until)| (*from..*until).contains(&at)).count()
}

#[cfg(test)]
mod tests {
    use super::{children, imports, paths_in_code};

    #[track_caller]
    fn check(text: &str, names: &[&str]) {
        let found: Vec<String> = imports(text)
            .iter()
            .map(|import| {
                let public = if import.is_public { "pub " } else { "" };
                format!("{public}{} = {}", import.name, import.path.join("::"))
            })
            .collect();
        assert_eq!(found, names);
    }

    #[test]
    fn an_import_is_read_name_by_name() {
        check("use a::b;", &["b = a::b"]);
        check("pub use a::b as c;", &["pub c = a::b"]);
        check(
            "pub(crate) use super::{\n a, b::{c, d as e},\n f::*, };",
            &["pub a = super::a", "pub c = super::b::c", "pub e = super::b::d", "pub * = super::f"],
        );
        check("use a::{self, b::{self as c}};", &["a = a", "c = a::b"]);
        check(
            "fn reuse() {} mod x { use super::{a, super::b}; use super::super::c; }",
            &["a = self::a", "b = super::b", "c = super::c"],
        );
    }

    #[test]
    fn paths_of_the_code_are_read_and_those_of_imports_are_not() {
        let text = "use a::b; pub(in crate::x) fn c(d: e::F) { g.h(i..j::K); crate::l::<M>::n(); }";
        let found: Vec<String> = paths_in_code(text).iter().map(|path| path.join("::")).collect();
        assert_eq!(found, ["e::F", "j::K", "crate::l"]);
    }

    #[test]
    fn children_have_files() {
        assert_eq!(
            children("mod a; pub(super) mod b; mod c { } models d;").into_iter().collect::<Vec<_>>(),
            ["a", "b"]
        );
    }
}
