//! A manifest in several files.

use std::fs;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("services")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn load(&self, text: &str) -> Result<Loaded, Problems> {
        load(self.0.path(), &format!("name = 'shop'\n{text}"), &[])
    }

    /// The problems as text, without the folder's own name.
    #[track_caller]
    fn check(&self, text: &str, expected: &str) {
        let problems = self.load(text).unwrap_err().to_string();
        let folder = self.0.path().canonicalize().unwrap();
        assert_eq!(problems.replace(&format!("{}/", folder.display()), ""), expected);
    }
}

const A: &str = "[services.a]\ncomponent = 'a.wasm'\n[[routes]]\npath = '/a'\nservice = 'a'\npublic = true\n";

#[test]
fn includes_add_services_databases_and_routes() {
    let folder = Folder::new(&[("services/a.toml", A), ("services/b.toml", "[postgres.d]\n")]);
    let loaded = folder.load("include = ['services/*.toml']\n").unwrap();
    let manifest = &loaded.manifest;
    assert_eq!((manifest.services.len(), manifest.databases.len(), manifest.routes.len()), (1, 1, 1));
    // Paths are relative to the manifest, wherever they stand.
    assert_eq!(manifest.services["a"].component, folder.0.path().canonicalize().unwrap().join("a.wasm"));
    assert_eq!(manifest.routes[0].key, "services/a.toml: routes[0]");
    let problem = loaded.problem(&manifest.routes[0].key, "is odd");
    assert!(problem.file.ends_with("services/a.toml") && problem.place.is_some_and(|place| place.line == 3));

    let before = loaded.digest.clone();
    fs::write(folder.0.path().join("services/b.toml"), "[postgres.e]\n").unwrap();
    assert_ne!(folder.load("include = ['services/*.toml']\n").unwrap().digest, before);
}

#[test]
fn mistakes_of_all_files_come_together() {
    let a = format!("{A}timeout = 5\n[gateway]\n");
    let b = "[[routes]]\npath = '/b'\nservice = 'is-in-none'\npublic = true\n";
    let folder = Folder::new(&[("services/a.toml", &a), ("services/b.toml", b)]);
    folder.check(
        "include = ['services/*.toml', 'none.toml']\ngatway = 1\nhost = { drain = '2h' }\n",
        "shop.toml has 3 problems\n  \
           2:31 include[1]: cannot read `none.toml`: No such file or directory (os error 2); correct the path or its rights\n  \
           3:1 gatway: unknown key; did you mean `gateway`?\n  \
           4:18 host.drain: drain is 2h; it must be 0s to 1h\n\
         services/a.toml has 2 problems\n  \
           7:11 routes[0].timeout: 5 has no unit; write `\"5s\"`\n  \
           8:2 gateway: belongs in the manifest itself; an included file may have `services`, `routes`, `postgres` and `redis`",
    );
}

#[test]
fn a_name_twice_names_both_places() {
    let folder = Folder::new(&[("services/a.toml", A), ("services/b.toml", "\n[services.a]\ncomponent = 'b.wasm'\n")]);
    folder.check(
        "include = ['services/*.toml']\n",
        "services/b.toml has 1 problem\n  2:11 services.a: is already in services/a.toml:1:11; rename one of the two",
    );
}

#[test]
fn a_file_is_read_once_and_a_pattern_may_match_none() {
    let folder = Folder::new(&[("services/a.toml", A)]);
    folder.check(
        "include = ['*.toml']\n",
        "shop.toml has 1 problem\n  2:12 include[0]: `shop.toml` is read already; \
         name each file once, and keep included files in a folder of their own",
    );
    let loaded = folder.load("include = ['services/x*.toml']\n").unwrap();
    assert_eq!(loaded.warnings[0].message, "`services/x*.toml` matches no file; remove it, or correct the path");
}

#[test]
fn a_missing_component_says_how_to_build_it() {
    let folder = Folder::new(&[("b.wasm", "")]);
    let text = "[services.a]\ncomponent = './a.wasm'\nbuild = 'just component a'\n[services.b]\ncomponent = 'b.wasm'\n";
    let missing = folder.load(text).unwrap().missing_components();
    let lines: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let file = folder.0.path().canonicalize().unwrap().join("a.wasm");
    let line =
        format!("3:13 services.a.component: there is no file `{}`; build it with `just component a`", file.display());
    assert_eq!(lines, [line]);
}

#[test]
fn a_manifest_that_is_not_there_says_so() {
    let error = Manifest::load(Path::new("none.toml"), &Environment::new()).unwrap_err();
    let text = "none.toml has 1 problem\n  cannot read it: No such file or directory (os error 2); \
                name a manifest, such as `manifests/shop.toml`";
    assert_eq!(error.to_string(), text);
}
