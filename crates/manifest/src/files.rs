//! Reads a manifest and its includes, each along its schema.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use ring::digest;

use super::{
    Confines, include,
    raw::{RawInclude, RawManifest},
};
use document::problem::Problem;
use document::source::{Key, Source};
use document::structure;

/// The largest file a manifest or an include may be.
const FILE_MAX: u64 = 4 << 20;

/// The manifest and its includes, as far as their shape is right.
pub(super) struct Files {
    /// The manifest's own, then those of `includes` in the same order.
    pub(super) sources: Vec<Source>,
    pub(super) raw: RawManifest,
    pub(super) includes: Vec<RawInclude>,
    /// The manifest's, absolute and without symlinks.
    pub(super) folder: PathBuf,
    /// False: a part could not be read, so a name that seems to be missing may be in there.
    pub(super) whole: bool,
    /// SHA-256 in hex.
    pub(super) digest: String,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Files {
    /// # Errors
    /// When the manifest itself cannot be read as TOML.
    pub(super) fn read(path: &Path) -> Result<Self, Vec<Problem>> {
        Self::of(path, &read_text(path).map_err(unreadable(path))?, None)
    }

    /// The same of a manifest that says `text`, whatever the file does. Included files are read, as
    /// far as `confines` allow.
    pub(super) fn of(path: &Path, text: &str, confines: Option<&Confines>) -> Result<Self, Vec<Problem>> {
        let unreadable = unreadable(path);
        let shown = path.parent().unwrap_or(Path::new(""));
        let folder = folder_of(path).map_err(unreadable)?;

        let main = structure::read::<RawManifest>(path, text, crate::later::refusal);
        let Some(raw) = main.raw else { return Err(main.problems) };
        let mut includes = Includes {
            folder: shown,
            confines: confines.map(|confines| (confines, folder.clone())),
            seen: BTreeSet::from([canonical(path)]),
            digest: digest::Context::new(&digest::SHA256),
            problems: main.problems,
            warnings: Vec::new(),
            whole: true,
            files: Vec::new(),
        };
        includes.add_to_digest("", text);
        for (index, pattern) in raw.include.iter().enumerate() {
            includes.read(&main.source.root().child("include").item(index), pattern);
        }
        let (sources, raw_includes): (Vec<_>, Vec<_>) = includes.files.into_iter().unzip();
        Ok(Self {
            sources: std::iter::once(main.source).chain(sources).collect(),
            raw,
            includes: raw_includes,
            folder,
            digest: hex::encode(includes.digest.finish()),
            whole: includes.whole,
            problems: includes.problems,
            warnings: includes.warnings,
        })
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Vec<Problem> {
    move |error| {
        let message = format!("cannot read it: {error}; name a manifest, such as `manifests/shop.toml`");
        vec![Problem { file: path.into(), place: None, key: String::new(), message }]
    }
}

/// Of the folder, not of the file: that may be a link into a mounted volume.
fn folder_of(path: &Path) -> io::Result<PathBuf> {
    let shown = path.parent().unwrap_or(Path::new(""));
    if shown.as_os_str().is_empty() { Path::new(".").canonicalize() } else { shown.canonicalize() }
}

/// `path`, absolute.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let folder = folder_of(path)?;
    Ok(path.file_name().map_or(folder.clone(), |name| folder.join(name)))
}

/// The included files while they are being read.
struct Includes<'p> {
    /// As the user wrote it.
    folder: &'p Path,
    /// Of a manifest that was sent, with the folder's real path.
    confines: Option<(&'p Confines, PathBuf)>,
    /// Canonical paths.
    seen: BTreeSet<PathBuf>,
    digest: digest::Context,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    whole: bool,
    files: Vec<(Source, RawInclude)>,
}

impl Includes<'_> {
    fn read(&mut self, key: &Key<'_>, pattern: &str) {
        let found = match include::files(self.folder, pattern) {
            Ok(found) => found,
            Err(error) => return self.incomplete(key.problem(error)),
        };
        if found.is_empty() {
            let message = format!("`{pattern}` matches no file; remove it, or correct the path");
            self.warnings.push(key.problem(message));
        }
        for file in found {
            self.read_file(key, &file);
        }
    }

    fn read_file(&mut self, key: &Key<'_>, file: &Path) {
        let shown = file.display();
        if self.seen.len() > include::FILES_MAX {
            return self.incomplete(key.problem(include::IncludeError::TooMany(shown.to_string())));
        }
        if !self.seen.insert(canonical(file)) {
            let fix = "name each file once, and keep included files in a folder of their own";
            return self.problems.push(key.problem(format_args!("`{shown}` is read already; {fix}")));
        }
        let outside = |(confines, folder): &(&Confines, PathBuf)| !confines.allow(folder, &canonical(file));
        if self.confines.as_ref().is_some_and(outside) {
            return self.incomplete(key.problem(format_args!("`{shown}` is outside of the manifest's folder")));
        }
        let text = match read_text(file) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot read `{shown}`: {error}; correct the path or its rights");
                return self.incomplete(key.problem(message));
            }
        };
        self.add_to_digest(&file.strip_prefix(self.folder).unwrap_or(file).to_string_lossy(), &text);
        let mut read = structure::read::<RawInclude>(file, &text, crate::later::refusal);
        self.problems.append(&mut read.problems);
        self.whole &= read.raw.is_some();
        self.files.push((read.source, read.raw.unwrap_or_default()));
    }

    fn incomplete(&mut self, problem: Problem) {
        self.whole = false;
        self.problems.push(problem);
    }

    /// Lengths keep a name from running into a text.
    fn add_to_digest(&mut self, name: &str, text: &str) {
        for part in [name, text] {
            self.digest.update(&(part.len() as u64).to_be_bytes());
            self.digest.update(part.as_bytes());
        }
    }
}

/// What a file is known by; a file that cannot be resolved cannot be read either.
fn canonical(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.into())
}

pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 4 MiB"));
    }
    Ok(text)
}
