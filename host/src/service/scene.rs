//! What a guest was doing when it failed: its functions, and what it had asked the host for.
//!
//! Decides how much of that is told: what people read first, without the machinery of panics.

use std::fmt;

use symbols::{Line, Lines};
use tokio::runtime::{Handle, RuntimeFlavor};
use wasmtime::WasmBacktrace;

/// Functions that are told.
const LINES_MAX: usize = 8;

/// Functions that are at work whenever something panics: nobody looks for a mistake in them.
const OF_PANICS: [&str; 8] = [
    "core::panicking::",
    "core::option::",
    "core::result::unwrap_failed",
    "std::panicking::",
    "std::sys::",
    "std::process::abort",
    "rust_panic",
    "__rust",
];
/// The same, by their whole names.
const ABORT: [&str; 2] = ["abort", "__wasi_proc_exit"];

/// Where a Rust component's own functions end and those begin that were made of its interfaces.
const OF_BINDINGS: &str = "_export_";

/// Where a guest was; empty where nobody knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// The innermost first.
    pub lines: Vec<Line>,
    /// What it had asked the host for at last, in order; nothing while nothing is recorded.
    pub calls: Vec<String>,
}

impl Scene {
    /// As `error` tells, in the component that `lines` are of. Blocking the first time for each place.
    pub(super) fn of(error: &wasmtime::Error, lines: &Lines, calls: Vec<String>) -> Self {
        let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default();
        let at =
            frames.iter().filter_map(|frame| Some((frame.func_index(), u64::try_from(frame.module_offset()?).ok()?)));
        let at: Vec<_> = at.collect();
        let found = blocking(|| lines.at(&at)).into_iter().flatten();
        let told = found.skip_while(is_of_panics).take_while(|line| !line.function.starts_with(OF_BINDINGS));
        let lines = told.take(LINES_MAX).collect();
        Self { lines, calls }
    }

    /// The innermost function of the component itself, not of Rust's library.
    pub fn own(&self) -> Option<&Line> {
        let is_own = |line: &&Line| line.file.as_ref().is_some_and(|file| !file.starts_with("library/"));
        self.lines.iter().find(is_own).or(self.lines.first())
    }

    /// One line each, as a stack is printed.
    pub fn stack(&self) -> String {
        self.lines.iter().map(|line| format!("at {}\n", At(line))).collect()
    }
}

/// Lets others have the thread's tasks meanwhile, where it has some.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn is_of_panics(line: &Line) -> bool {
    let name = line.function.trim_start_matches('<');
    OF_PANICS.iter().any(|begin| name.starts_with(begin)) || ABORT.contains(&name)
}

/// `users::create (users/src/lib.rs:12)`
struct At<'a>(&'a Line);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { function, file, line } = self.0;
        f.write_str(function)?;
        match (file, line) {
            (Some(file), Some(line)) => write!(f, " ({file}:{line})"),
            (Some(file), None) => write!(f, " ({file})"),
            _ => Ok(()),
        }
    }
}

/// Behind a sentence that says what happened.
impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines.iter().enumerate() {
            write!(f, "{} {}", if index == 0 { "; in" } else { ", called by" }, At(line))?;
        }
        match self.calls.as_slice() {
            [] => Ok(()),
            calls => write!(f, "; it had asked for {}", calls.join(", then ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(function: &str, file: Option<&str>) -> Line {
        Line { function: function.into(), file: file.map(Into::into), line: file.map(|_| 3) }
    }

    #[test]
    fn what_is_told_begins_where_a_mistake_is_looked_for() {
        assert!(is_of_panics(&line("core::panicking::panic_fmt", None)) && is_of_panics(&line("abort", None)));
        assert!(!is_of_panics(&line("aborts::it", None)));
        let lines =
            vec![line("core::slice::index", Some("library/core/src/slice.rs")), line("it::f", Some("src/a.rs"))];
        let scene = Scene { lines, calls: vec!["GET".into(), "SELECT users".into()] };
        assert_eq!(scene.own().unwrap().function, "it::f");
        let told = "; in core::slice::index (library/core/src/slice.rs:3), called by it::f (src/a.rs:3); it had asked for GET, then SELECT users";
        assert_eq!(scene.to_string(), told);
        assert_eq!(Scene::default().to_string(), "");
    }
}
