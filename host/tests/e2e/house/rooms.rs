//! Rooms: no files that use each other in a circle within a crate, no file beyond 400 lines.
//!
//! A circle is natural recursion, with its reason here, or stands in `waiting`. Lists only get shorter:
//! a new circle fails, and so does a name on a list that is in no circle any more.

use std::{collections::BTreeSet, fs};

use super::{
    Code, crates, files_under,
    graph::{Circle, Crate},
    named, root,
    source::Own,
    waiting,
};

/// Files of one crate that use each other in a circle.
pub struct Known {
    pub krate: &'static str,
    pub files: &'static [&'static str],
}

/// Natural recursion, with what makes it so. Three at most.
const RECURSION: &[(Known, &str)] = &[(
    Known { krate: "crates/backend", files: &["postgres/array.rs", "postgres/encode.rs"] },
    "an array is a value, and its elements are values",
)];
const RECURSION_MAX: usize = 3;

const LINES_MAX: usize = 400;
/// What of a crate's files is checked, without tests; `files` are names from `src` on, and texts.
pub fn own(files: impl IntoIterator<Item = (String, String)>) -> Vec<Code> {
    let files: Vec<_> = files.into_iter().map(|(name, text)| (name, Own::of(&text))).collect();
    let below = |name: &str| match name.trim_end_matches(".rs") {
        "lib" | "main" => String::new(),
        other => format!("{}/", other.trim_end_matches("/mod")),
    };
    let test_modules = |(name, own): &(String, Own)| {
        let folder = below(name);
        own.test_modules.iter().map(|module| format!("{folder}{module}")).collect::<Vec<_>>()
    };
    let tests: BTreeSet<String> = files.iter().flat_map(test_modules).collect();
    let is_test = |name: &str| {
        let rests = tests.iter().filter_map(|test| name.strip_prefix(test.as_str()));
        rests.into_iter().any(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    let ours = files.into_iter().filter(|(name, _)| !is_test(name));
    ours.map(|(name, own)| Code { name, text: own.text }).collect()
}

fn circles(files: Vec<Code>) -> Vec<Circle> {
    Crate::new(files.into_iter().map(|file| (file.name, file.text))).circles()
}

/// What is wrong about the circles of a crate, as somebody who mends it needs it.
fn complaints(krate: &str, found: &[Circle], known: &[&Known]) -> Vec<String> {
    let known: Vec<_> = known.iter().filter(|known| known.krate == krate).map(|known| known.files).collect();
    let is_known =
        |circle: &Circle| known.iter().any(|files| circle.files.iter().all(|file| files.contains(&file.as_str())));
    let new = found.iter().filter(|circle| !is_known(circle));
    let new = new.map(|circle| format!("{krate}: a circle\n  {}", circle.arrows.join("\n  ")));
    let opened = known.iter().flat_map(|files| files.iter());
    let opened = opened.filter(|file| !found.iter().any(|circle| circle.files.contains(**file)));
    new.chain(opened.map(|file| format!("{krate}: `{file}` is in no circle any more; take it off the list"))).collect()
}

#[test]
fn files_of_a_crate_use_each_other_in_one_direction() {
    assert!(RECURSION.len() <= RECURSION_MAX);
    let known: Vec<&Known> = RECURSION.iter().map(|(known, _)| known).chain(waiting::CIRCLES).collect();
    let wrong: Vec<String> =
        crates().iter().flat_map(|krate| complaints(krate, &circles(Code::of(krate)), &known)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    let mut long = BTreeSet::new();
    for krate in crates() {
        for path in files_under(&root().join(&krate).join("src"), "rs") {
            if fs::read_to_string(&path).unwrap().lines().count() > LINES_MAX {
                long.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(long, waiting::LONG.iter().map(|name| (*name).to_owned()).collect());
}

/// A small crate with a circle, and with something forbidden below a test module.
fn fixture() -> Vec<Code> {
    let files = [
        ("lib.rs", "mod shop;\nmod till;\n"),
        (
            "shop.rs",
            "#[cfg(test)]\nmod tests {\n    fn a() { unsafe {} }\n}\n\nuse super::till::Till;\npub struct Shop;\n",
        ),
        ("till.rs", "#[cfg(test)]\nmod checks;\npub struct Till(crate::shop::Shop);\nfn b() { unsafe {} }\n"),
        ("till/checks.rs", "fn c() { unsafe {} }\n"),
    ];
    own(files.map(|(name, text)| (name.to_owned(), text.to_owned())))
}

#[test]
fn what_is_wrong_below_a_test_module_is_found_and_tests_may_do_what_they_like() {
    assert_eq!(named(&fixture(), &["unsafe"]), ["till.rs: unsafe"]);
}

#[test]
fn a_new_circle_is_told_and_so_is_one_that_is_open() {
    const OPEN: &[&Known] = &[&Known { krate: "house", files: &["lib.rs"] }];
    const KNOWN: &[&Known] = &[&Known { krate: "house", files: &["shop.rs", "till.rs"] }];
    let found = circles(fixture());
    assert_eq!(
        complaints("house", &found, &[]),
        ["house: a circle\n  shop.rs -> till.rs (super::till::Till)\n  till.rs -> shop.rs (crate::shop::Shop)"]
    );
    assert_eq!(complaints("house", &found, KNOWN), Vec::<String>::new());
    assert_eq!(complaints("house", &[], OPEN), ["house: `lib.rs` is in no circle any more; take it off the list"]);
    assert_eq!(complaints("shed", &[], OPEN), Vec::<String>::new(), "another crate's list is not its own");
}
