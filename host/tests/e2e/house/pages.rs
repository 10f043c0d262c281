//! What the documentation shows is what there is: commands that are run, recipes and files that exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

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
    ("archipel swap users users.wasm --all", "several: the same command"),
    ("archipel apply shop.toml --all", "several: the same command"),
    ("archipel status --all", "several"),
    ("archipel events dead", "events"),
    ("archipel events dead notifications", "events, of another service"),
    ("archipel events replay notifications --all", "events, of another service"),
    ("archipel apply manifests/shop.toml", "apply: the same command"),
    ("archipel reload", "reload"),
    ("archipel backup manifests/shop.toml /var/backups/shop-monday", "backup: the same command"),
    ("archipel restore manifests/shop.toml /var/backups/shop-monday", "backup: the same command"),
    ("archipel swap users users.wasm --accept-permissions", "accept: the same command"),
    ("archipel swap users users.wasm --ramp --wait", "ramp: the same command"),
    ("archipel run manifests/shop.toml --watch", "watch: the same command"),
    ("archipel test", "project: the same command"),
    ("archipel new notes --lang ts --with postgres", "project: the same command"),
    ("cd notes", "project: the folder is there"),
    ("archipel dev", "project: the same command"),
    ("curl -s http://127.0.0.1:3000/notes -d '{\"text\":\"tea\"}'", "project: from docs/start.md itself"),
    ("curl -s http://127.0.0.1:3000/notes", "project: from docs/start.md itself"),
    ("curl -s http://127.0.0.1:3000/notes -d '{}'", "project: from docs/start.md itself"),
    ("cargo build --release --target wasm32-wasip2", "`just foreign`, in the same folder"),
    ("archipel inspect target/wasm32-wasip2/release/spin_guest.wasm", "spin: the same command"),
    ("archipel run archipel.toml", "spin: the same manifest"),
    ("curl -s http://127.0.0.1:3000/", "spin: from docs/from-spin.md itself"),
    ("curl -s http://127.0.0.1:3000/visit", "spin: from docs/from-spin.md itself"),
    ("curl -s http://127.0.0.1:3000/swap", "spin: from docs/from-spin.md itself"),
    ("curl -s http://127.0.0.1:3000/config", "spin: from docs/from-spin.md itself"),
    ("curl -s http://127.0.0.1:3000/call", "spin: from docs/from-spin.md itself"),
    ("archipel check manifests/shop.toml", "cli"),
    ("archipel run manifests/shop.toml", "the demo's script"),
    ("archipel check manifests/shop.toml --ceiling /etc/archipel/ceiling.toml", "ceiling: the same command"),
    ("archipel run manifests/shop.toml --ceiling /etc/archipel/ceiling.toml", "ceiling: the same command"),
    ("archipel run manifests/shop.toml --audit", "audit: the same command"),
    ("archipel healthcheck --wait 60 http://127.0.0.1:3000/health/ready", "cli; the demo's script"),
];

/// Every page that people read: those at the top, and all of docs/.
fn pages() -> Vec<PathBuf> {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name));
    top.into_iter().chain(files_under(&root().join("docs"), "md")).collect()
}

#[test]
fn every_command_in_the_documentation_is_one_that_is_run_somewhere() {
    let mut shown = BTreeSet::new();
    for page in pages() {
        let text = fs::read_to_string(page).unwrap();
        let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
        let lines = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
        shown.extend(lines.map(str::to_owned));
    }
    let known: BTreeSet<String> = SHOWN.iter().map(|(command, _)| (*command).to_owned()).collect();
    assert_eq!(shown, known);
}

#[test]
fn every_recipe_link_and_source_file_in_the_documentation_exists() {
    let justfile = fs::read_to_string(root().join("justfile")).unwrap();
    let folders = ["gateway", "host", "crates", "components", "bench"].map(|folder| root().join(folder));
    let sources: Vec<PathBuf> = folders.iter().flat_map(|folder| sources_under(folder)).collect();
    let mut wrong = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for quoted in text.split('`').skip(1).step_by(2).filter(|quoted| !quoted.contains('\n')) {
            if let Some(recipe) = quoted.strip_prefix("./justw ").or_else(|| quoted.strip_prefix("just ")) {
                let name = recipe.split(' ').next().unwrap();
                let is_there = justfile.lines().any(|line| line.split([' ', ':']).next() == Some(name));
                if !is_there && name != "RECIPE" {
                    wrong.push(format!("{}: no recipe `{name}`", page.display()));
                }
            }
            let is_file = quoted.ends_with(".rs") && !quoted.contains([' ', '*', '{']);
            if is_file && !sources.iter().any(|source| source.ends_with(quoted)) {
                wrong.push(format!("{}: no file `{quoted}`", page.display()));
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            if !link.starts_with("http") && !page.with_file_name("").join(file).exists() {
                wrong.push(format!("{}: no {link}", page.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Without what is built there.
fn sources_under(folder: &Path) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("target") => {}
            true => sources.extend(sources_under(&path)),
            false => sources.extend(path.extension().is_some_and(|found| found == "rs").then_some(path)),
        }
    }
    sources
}

#[test]
fn the_first_pages_stay_short_and_the_index_has_every_page() {
    let length = |name: &str| fs::metadata(root().join(name)).unwrap().len();
    assert!(length("ARCHITECTURE.md") <= 16_000, "the reasons belong in docs/design");
    assert!(length("README.md") <= 9_000, "whatever is not needed first belongs in docs");
    let docs = root().join("docs");
    let index = fs::read_to_string(docs.join("README.md")).unwrap();
    let missing: Vec<PathBuf> = files_under(&docs, "md")
        .into_iter()
        .map(|page| page.strip_prefix(&docs).unwrap().to_owned())
        .filter(|page| page != Path::new("README.md") && !index.contains(&format!("]({})", page.display())))
        .collect();
    assert_eq!(missing, Vec::<PathBuf>::new());
}
