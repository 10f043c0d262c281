//! What a guest says on standard error of its own failure: a panic of Rust's, a traceback of Python's, a stack of
//! JavaScript's. Its lines are one for the log.
//!
//! Decides which lines belong together, and what of them is the failure's kind, its message and its stack. Whatever
//! looks otherwise is lines like any other.

use std::fmt;

/// How Rust's standard library begins and ends what it says of a panic.
const PANIC: [&str; 2] = ["thread '", " panicked at "];
const PANIC_ENDS: &str = "note: run with `RUST_BACKTRACE=1`";
/// How Python begins, and what it says between an error and its cause.
const TRACEBACK: &str = "Traceback (most recent call last):";
const CAUSES: [&str; 2] = ["During handling of the above exception", "The above exception was the direct cause"];
/// How StarlingMonkey begins, which does not say what type an error has.
const SCRIPT: [&str; 2] = ["Error while running request handler: ", "Promise rejected but never handled: "];
const SCRIPT_STACK: &str = "Stack:";
/// Where our own package for TypeScript says where an error was thrown.
const PLACE: &str = " (at ";
/// Functions of a stack; the outer ones are left out.
const FRAMES_MAX: usize = 16;

/// A failure in the words of the guest's own language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// `panic`, or the type of an error.
    pub kind: String,
    pub message: String,
    /// The innermost function first; empty where it says none.
    pub stack: Vec<String>,
}

impl Exception {
    pub fn is_panic(&self) -> bool {
        self.kind == "panic"
    }

    /// Of a line that is all of it: `TypeError: too late (at src/failures.ts:12)`.
    pub(super) fn of(line: &str) -> Option<Self> {
        let (kind, rest) = line.split_once(": ")?;
        let is_name = kind.ends_with("Error") && kind.chars().all(char::is_alphanumeric);
        let (message, place) = rest.split_once(PLACE).filter(|_| is_name)?;
        let place = place.split_once(')')?.0;
        Some(Self { kind: kind.to_owned(), message: message.to_owned(), stack: vec![place.to_owned()] })
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_panic() {
            true => f.write_str(&self.message)?,
            false => write!(f, "{}: {}", self.kind, self.message)?,
        }
        for (index, frame) in self.stack.iter().enumerate() {
            write!(f, "{} {frame}", if index == 0 { "; in" } else { ", called by" })?;
        }
        Ok(())
    }
}

/// A failure that a guest is telling of.
#[derive(Debug)]
pub(super) struct Telling {
    language: Language,
    exception: Exception,
    /// What was heard, in bytes.
    heard: usize,
    /// Python has named the error.
    is_named: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Python,
    Script,
}

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It belongs to the failure.
    Part,
    /// It belongs to it, and is its last.
    Last,
    /// The failure was over before.
    Other,
}

impl Telling {
    /// The line is the first of a failure.
    pub(super) fn begins(line: &str) -> Option<Self> {
        let new = |language, kind: &str, message: &str| Self {
            language,
            exception: Exception { kind: kind.to_owned(), message: message.to_owned(), stack: Vec::new() },
            heard: line.len(),
            is_named: false,
        };
        if line.starts_with(PANIC[0]) && line.contains(PANIC[1]) {
            return Some(new(Language::Rust, "panic", line));
        }
        if line == TRACEBACK {
            return Some(new(Language::Python, "Exception", ""));
        }
        let message = SCRIPT.iter().find_map(|begin| line.strip_prefix(begin))?;
        Some(new(Language::Script, "Error", message))
    }

    /// The next line, of at most `max` bytes in all.
    pub(super) fn hears(&mut self, line: &str, max: usize) -> Heard {
        self.heard += line.len();
        if self.heard > max {
            return Heard::Other;
        }
        match self.language {
            Language::Rust => self.panic(line),
            Language::Python => self.traceback(line),
            Language::Script => self.script(line),
        }
    }

    fn panic(&mut self, line: &str) -> Heard {
        match () {
            () if line.starts_with(PANIC_ENDS) => return Heard::Last,
            () if line.starts_with(PANIC[0]) && line.contains(PANIC[1]) => return Heard::Other,
            () if line.trim().is_empty() => {}
            () => self.exception.message.extend([" ", line]),
        }
        Heard::Part
    }

    /// The last error of several is the one that was not caught.
    fn traceback(&mut self, line: &str) -> Heard {
        match () {
            () if line.starts_with(' ') => self.frame(line.trim().strip_prefix("File ").and_then(of_python)),
            () if line == TRACEBACK => {
                self.exception.stack.clear();
                self.is_named = false;
            }
            () if line.trim().is_empty() || CAUSES.iter().any(|cause| line.starts_with(cause)) => {}
            () if self.is_named => return Heard::Other,
            () => {
                let (kind, message) = line.split_once(": ").unwrap_or((line, ""));
                (self.exception.kind, self.exception.message) = (kind.to_owned(), message.to_owned());
                self.is_named = true;
            }
        }
        Heard::Part
    }

    fn script(&mut self, line: &str) -> Heard {
        let frame = line.strip_prefix("  ").and_then(|frame| frame.split_once('@'));
        match frame {
            Some(frame) if self.exception.stack.len() < FRAMES_MAX => self.exception.stack.push(of_script(frame)),
            Some(_) => {}
            None if line == SCRIPT_STACK => {}
            None => return Heard::Other,
        }
        Heard::Part
    }

    /// Python tells the outermost first.
    fn frame(&mut self, frame: Option<String>) {
        let Some(frame) = frame else { return };
        self.exception.stack.insert(0, frame);
        self.exception.stack.truncate(FRAMES_MAX);
    }

    pub(super) fn over(self) -> Exception {
        self.exception
    }
}

/// `"/0/app.py", line 24, in connect`
fn of_python(place: &str) -> Option<String> {
    let (file, rest) = place.split_once(", line ")?;
    let file = file.trim_matches('"');
    Some(match rest.split_once(", in ") {
        Some((line, function)) => format!("{function} ({file}:{line})"),
        None => format!("{file}:{rest}"),
    })
}

/// `price` and `app.js:2:28`; a function may be nameless, or what waited for another.
fn of_script((function, place): (&str, &str)) -> String {
    match function.trim_start_matches("async*") {
        "" => place.to_owned(),
        function => format!("{function} ({place})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], told: &str) {
        let mut telling = Telling::begins(lines[0]).expect("the beginning of a failure");
        for line in &lines[1..] {
            assert_ne!(telling.hears(line, 4096), Heard::Other, "{line}");
        }
        assert_eq!(telling.over().to_string(), told);
    }

    #[test]
    fn each_languages_own_words_are_one_line_with_the_innermost_function_first() {
        check(
            &[
                "thread '<unnamed>' (1) panicked at src/lib.rs:3:5:",
                "no such order:",
                "7",
                "note: run with `RUST_BACKTRACE=1` environment",
            ],
            "thread '<unnamed>' (1) panicked at src/lib.rs:3:5: no such order: 7",
        );
        check(
            &[
                "Traceback (most recent call last):",
                "  File \"/0/app.py\", line 9, in handle",
                "    first()",
                "ValueError: caught",
                "",
                "During handling of the above exception, another exception occurred:",
                "",
                "Traceback (most recent call last):",
                "  File \"/0/app.py\", line 115, in handle",
                "    connect(query)",
                "    ~~~~~~~^^^^^^^",
                "  File \"/0/app.py\", line 24, in connect",
                "KeyError: 'to'",
            ],
            "KeyError: 'to'; in connect (/0/app.py:24), called by handle (/0/app.py:115)",
        );
        check(
            &[
                "Error while running request handler: no price of tea",
                "Stack:",
                "  price@app.js:2:28",
                "  async*@app.js:1:56",
            ],
            "Error: no price of tea; in price (app.js:2:28), called by app.js:1:56",
        );
        let one =
            Exception::of("TypeError: too late (at late src/failures.ts:12); caused by Error: the clock").unwrap();
        assert_eq!((&*one.kind, &*one.message, &*one.stack[0]), ("TypeError", "too late", "late src/failures.ts:12"));
    }

    #[test]
    fn other_lines_are_no_failure_and_end_one() {
        for line in ["", "hello", "Stack:", "Error: no", "note: a (at b)", "no Error: a (at b)"] {
            assert!(Telling::begins(line).is_none() && Exception::of(line).is_none(), "{line}");
        }
        let mut script = Telling::begins("Promise rejected but never handled: no").unwrap();
        assert_eq!([script.hears("Stack:", 99), script.hears("after", 99)], [Heard::Part, Heard::Other]);
        let mut python = Telling::begins(TRACEBACK).unwrap();
        assert_eq!([python.hears("KeyError", 99), python.hears("after", 99)], [Heard::Part, Heard::Other]);
        let mut long = Telling::begins(TRACEBACK).unwrap();
        assert_eq!(long.hears(&" ".repeat(99), 99), Heard::Other);
    }
}
