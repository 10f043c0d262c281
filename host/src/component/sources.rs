//! Where the source of a component is, for whoever rebuilds it when that changes.
//!
//! A component under a `target` folder belongs to the cargo workspace around that: a change in its
//! own crate is its own, one in another service's crate is not, and one anywhere else (a library, a
//! lock file) is everybody's. Any other component belongs to the folder that it lies in, or to the one around that
//! where it is a folder for what is built: `dist`. Of two such folders, one in the other, a change in the inner one
//! is the inner one's alone.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Folders that may be watched for one workspace.
const FOLDERS_MAX: usize = 1000;
/// Links on the way to one file, as the kernel bounds them.
const LINKS_MAX: usize = 40;

/// The source of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The workspace.
    root: PathBuf,
    /// The component's own crate, if it is found by its name.
    own: Option<PathBuf>,
    /// Where the component lies, if nothing but what is built does there.
    built: Option<PathBuf>,
    /// What a build writes lies among the source.
    pub mixed: bool,
}

impl Sources {
    /// `component` is absolute and may not exist yet.
    pub fn of(component: &Path) -> Self {
        let target = component.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "target"));
        let folder = |path: &Path| path.parent().map_or_else(|| path.to_owned(), Path::to_owned);
        let Some(root) = target.map(folder) else { return Self::beside(folder(component)) };
        let stem = component.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let crates = [root.join(stem), root.join(stem.replace('_', "-"))];
        Self {
            own: crates.into_iter().find(|folder| folder.join("Cargo.toml").is_file()),
            root,
            built: None,
            mixed: false,
        }
    }

    /// Of a component in `folder`: the source is there, or around it where the folder is one for what is built.
    fn beside(folder: PathBuf) -> Self {
        let is_built = folder.file_name().is_some_and(|name| BUILT.iter().any(|built| name == *built));
        match folder.parent().filter(|_| is_built) {
            Some(root) => Self { root: root.to_owned(), own: None, built: Some(folder), mixed: false },
            None => Self { root: folder, own: None, built: None, mixed: true },
        }
    }

    /// What to watch: the root alone, and with all that is in them the folders of it that hold source.
    pub fn folders(&self) -> (PathBuf, Vec<PathBuf>) {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten().take(FOLDERS_MAX);
        let folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !self.is_generated(path));
        (self.root.clone(), folders.collect())
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a change of `path` may change this component; `others` are those that it is built with.
    pub fn concern(&self, path: &Path, others: &[Self]) -> bool {
        if !path.starts_with(&self.root) || self.is_generated(path) {
            return false;
        }
        let is_in = |of: &Self| of.own.as_ref().is_some_and(|own| path.starts_with(own));
        let is_deeper = |of: &Self| of.root != self.root && of.root.starts_with(&self.root);
        let is_in_deeper = |of: &Self| is_deeper(of) && path.starts_with(&of.root);
        is_in(self) || !others.iter().any(|of| is_in(of) || is_in_deeper(of))
    }

    fn is_generated(&self, path: &Path) -> bool {
        is_generated(path, &self.root) || self.built.as_ref().is_some_and(|built| path.starts_with(built))
    }
}

/// Folders that builds of JavaScript and others write to, beside their source.
const BUILT: [&str; 3] = ["dist", "build", "out"];

/// What a build makes, and what an editor leaves for a moment.
fn is_generated(path: &Path, root: &Path) -> bool {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let generated = |part: Component<'_>| {
        let name = part.as_os_str().to_string_lossy();
        name == "target"
            || name == "node_modules"
            || name.starts_with('.')
            || name.ends_with('~')
            || name.ends_with(".wasm")
    };
    inside.components().any(generated)
}

/// A file, the links that lead to it, and where it is in the end: whoever changes one of them changes what is read.
/// `file` is absolute.
pub fn way_to(file: &Path) -> BTreeSet<PathBuf> {
    let mut way = BTreeSet::from([file.to_owned()]);
    let mut at = PathBuf::from("/");
    let mut rest: Vec<PathBuf> = parts(file);
    let mut links = 0;
    while let Some(part) = rest.pop() {
        let next = at.join(&part);
        match fs::read_link(&next) {
            Ok(target) if links < LINKS_MAX => {
                links += 1;
                way.insert(next);
                rest.extend(parts(&target));
            }
            _ if part.as_os_str() == ".." => _ = at.pop(),
            _ => at = next,
        }
    }
    way.insert(at);
    way
}

/// Of a path, the last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter(|part| *part != Component::CurDir)
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

/// When a file was last changed or moved here, by the file system's word, which is exact however late it is
/// heard; one that is gone has changed its folder.
pub fn changed_at(path: &Path) -> SystemTime {
    let found = fs::symlink_metadata(path).or_else(|_| fs::symlink_metadata(path.parent().unwrap_or(path)));
    let since = |meta: fs::Metadata| {
        let seconds = u64::try_from(meta.ctime()).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, u32::try_from(meta.ctime_nsec()).ok()?))
    };
    found.ok().and_then(since).unwrap_or_else(SystemTime::now)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_way_to_a_mounted_file_has_every_link() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().canonicalize().unwrap();
        fs::create_dir(folder.join("..first")).unwrap();
        fs::write(folder.join("..first/shop.toml"), "").unwrap();
        symlink("..first", folder.join("..data")).unwrap();
        symlink("..data/shop.toml", folder.join("shop.toml")).unwrap();
        let expected = ["shop.toml", "..data", "..first/shop.toml"].map(|name| folder.join(name));
        assert_eq!(way_to(&folder.join("shop.toml")), BTreeSet::from(expected));
        let plain = folder.join("..first/shop.toml");
        assert_eq!(way_to(&plain), BTreeSet::from([plain]));
        symlink("round", folder.join("round")).unwrap();
        assert!(way_to(&folder.join("round")).contains(&folder.join("round")), "a circle ends");
    }

    #[test]
    fn a_change_concerns_its_own_crate_or_everybody() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        for name in ["users", "probe-pg", "sdk"] {
            fs::create_dir_all(root.join(name).join("src")).unwrap();
            fs::write(root.join(name).join("Cargo.toml"), "").unwrap();
        }
        let built = root.join("target/wasm32-wasip2/release");
        let both = ["users.wasm", "probe_pg.wasm"].map(|name| Sources::of(&built.join(name)));
        let concerned = |path: &str| both.each_ref().map(|of| of.concern(&root.join(path), &both));
        assert_eq!(concerned("users/src/lib.rs"), [true, false]);
        assert_eq!(concerned("probe-pg/src/lib.rs"), [false, true]);
        assert_eq!(concerned("sdk/src/lib.rs"), [true, true]);
        assert_eq!(concerned("Cargo.lock"), [true, true]);
        for quiet in ["target/release/x", "users/.lib.rs.swp", "users/src/lib.rs~", "users/x.wasm"] {
            assert_eq!(concerned(quiet), [false, false], "{quiet}");
        }
        assert!(!both[0].concern(Path::new("/elsewhere/users/src/lib.rs"), &both));
        let made = Sources::of(&root.join("notes/dist/notes.wasm"));
        assert_eq!((made.root(), made.mixed), (&*root.join("notes"), false));
        for (path, concerns) in [
            ("src/index.ts", true),
            ("package.json", true),
            ("dist/notes.wasm.stamp", false),
            ("node_modules/x/y.js", false),
        ] {
            assert_eq!(made.concern(&root.join("notes").join(path), &[]), concerns, "{path}");
        }
        let within = [made, Sources::of(&root.join("notes/mail/dist/mail.wasm"))];
        let concerned = |path: &str| within.each_ref().map(|of| of.concern(&root.join(path), &within));
        assert_eq!(concerned("notes/mail/src/index.ts"), [false, true]);
        assert_eq!(concerned("notes/src/index.ts"), [true, false]);
        let alone = Sources::of(&root.join("sdk/one.wasm"));
        assert!(alone.concern(&root.join("sdk/one.c"), &[]) && !alone.concern(&root.join("users/x.c"), &[]));
    }
}
