//! What the documentation shows is what there is: commands that are run, recipes and files that exist.

use std::{collections::BTreeSet, fs};

use super::{files_under, root};

/// Commands that the documentation shows, and who runs each: a reader types what works.
const SHOWN: &[(&str, &str)] = &[
    ("./justw demo", "`just test` runs its script; so does anybody who starts here"),
    ("./justw test", "CI"),
    ("just component hello", "the bench recipe and `just build`"),
    ("just component users", "`just build`"),
    ("just run manifests/hello.toml", "cli: the manifest is checked; serving: `run`"),
    ("curl -i http://127.0.0.1:3000/", "serving: the same request"),
    ("archipel inspect components/target/wasm32-wasip2/release/users.wasm", "cli"),
    ("archipel swap users components/target/wasm32-wasip2/release/users.wasm", "swap"),
    ("archipel rollback users", "swap"),
    ("archipel versions users", "swap"),
    ("archipel status", "swap"),
    ("archipel events dead", "events"),
    ("archipel events dead notifications", "events, of another service"),
    ("archipel events replay notifications --all", "events, of another service"),
    ("archipel apply manifests/shop.toml", "apply: the same command"),
    ("archipel swap users users.wasm --accept-permissions", "accept: the same command"),
    ("archipel swap users users.wasm --ramp --wait", "ramp: the same command"),
    ("archipel run manifests/shop.toml --watch", "watch: the same command"),
    ("archipel check manifests/shop.toml", "cli"),
    ("archipel run manifests/shop.toml", "the demo's script"),
    ("archipel check manifests/shop.toml --ceiling /etc/archipel/ceiling.toml", "ceiling: the same command"),
    ("archipel run manifests/shop.toml --ceiling /etc/archipel/ceiling.toml", "ceiling: the same command"),
    ("archipel healthcheck --wait 60 http://127.0.0.1:3000/health/ready", "cli; the demo's script"),
];

#[test]
fn every_command_in_the_documentation_is_one_that_is_run_somewhere() {
    let mut shown = BTreeSet::new();
    let pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name));
    for page in pages.into_iter().chain(files_under(&root().join("docs"), "md")) {
        let text = fs::read_to_string(page).unwrap();
        let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
        let lines = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
        shown.extend(lines.map(str::to_owned));
    }
    let known: BTreeSet<String> = SHOWN.iter().map(|(command, _)| (*command).to_owned()).collect();
    assert_eq!(shown, known);
}

#[test]
fn every_recipe_and_file_in_the_documentation_exists() {
    let justfile = fs::read_to_string(root().join("justfile")).unwrap();
    for page in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/components.md", "docs/operations.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for quoted in text.split('`').skip(1).step_by(2).filter(|quoted| !quoted.contains('\n')) {
            if let Some(recipe) = quoted.strip_prefix("./justw ").or_else(|| quoted.strip_prefix("just ")) {
                let name = recipe.split(' ').next().unwrap();
                let is_there = justfile.lines().any(|line| line.split([' ', ':']).next() == Some(name));
                assert!(is_there || name == "RECIPE", "{page}: no recipe `{name}`");
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(
                link.starts_with("http") || root().join(page).with_file_name("").join(link).exists(),
                "{page}: {link}"
            );
        }
    }
}
