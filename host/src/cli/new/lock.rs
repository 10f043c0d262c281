//! The versions of all that a project in TypeScript is built with: those that the sdk itself is tested with.

use anyhow::Context;
use serde_json::{Map, Value, json};

const SDK: &str = include_str!("../../../../sdk/typescript/package-lock.json");
const PACKAGE: &str = include_str!("../../../../templates/typescript/package.json");
/// Where the copy of the sdk lies.
const VENDORED: &str = "vendor/archipel";

/// `package-lock.json` of the project `name`: the sdk's own, in which the project comes first and the sdk is a folder
/// of it.
pub(super) fn of(name: &str) -> anyhow::Result<String> {
    let sdk: Value = serde_json::from_str(SDK).context("the sdk's package-lock.json")?;
    // Whichever lines a project has, what it needs is the same.
    let package: String = PACKAGE.lines().filter(|line| !line.starts_with("//~")).collect();
    let project: Value = serde_json::from_str(&package).context("the template's package.json")?;
    let known = sdk["packages"].as_object().context("the sdk's package-lock.json names no packages")?;
    let mut packages = Map::new();
    let (needs, for_tests) = (&project["dependencies"], &project["devDependencies"]);
    packages.insert(
        String::new(),
        json!({ "name": name, "version": project["version"], "dependencies": needs, "devDependencies": for_tests }),
    );
    packages.insert("node_modules/archipel".to_owned(), json!({ "resolved": VENDORED, "link": true }));
    // What only the sdk's own tests want is left out.
    let needed = known.iter().filter(|(path, package)| !path.is_empty() && package["dev"] != true);
    packages.extend(needed.map(|(path, package)| (path.clone(), package.clone())));
    let mut own = known.get("").cloned().unwrap_or_default();
    own.as_object_mut().map(|own| own.remove("devDependencies"));
    packages.insert(VENDORED.to_owned(), own);
    let version = &project["version"];
    let lock =
        json!({ "name": name, "version": version, "lockfileVersion": 3, "requires": true, "packages": packages });
    Ok(serde_json::to_string_pretty(&lock)? + "\n")
}
