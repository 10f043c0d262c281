//! A mistake in a file: where it is, what is wrong, and what to do.
//!
//! [`Problems`] is what `check` and `run` print, to people as text and to pipes as JSON. It
//! decides nothing: whoever finds a mistake writes its message.

use std::{
    error::Error,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// More than this helps nobody; the rest is only counted.
const SHOWN_MAX: usize = 100;

/// A place in a text file; line and column (in characters) start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One mistake. Displayed without its file, as one line: `17:11 services.a.version: …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// As the user wrote it, not made absolute.
    pub file: PathBuf,
    /// None: the file as a whole.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// `services.orders.limits.timeout`; empty when no key is concerned.
    pub key: String,
    /// What is wrong and how to repair it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{place} ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// All mistakes of a manifest and its includes: the manifest's own first, then file by file,
/// each from top to bottom. Never empty as an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    sorted: Vec<Problem>,
}

impl Problems {
    /// `first` is the file whose problems come first.
    pub fn new(first: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| {
            let rank = |problem: &Problem| problem.file != first;
            (rank(a), &a.file, a.place, &a.key).cmp(&(rank(b), &b.file, b.place, &b.key))
        });
        problems.dedup();
        Self { sorted: problems }
    }

    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.sorted.iter()
    }
}

/// An error and its causes on one line, each text once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        next = cause.source();
    }
    text
}

impl Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.sorted[..self.len().min(SHOWN_MAX)];
        for (n, of_file) in shown.chunk_by(|a, b| a.file == b.file).enumerate() {
            let file = &of_file[0].file;
            let count = self.iter().filter(|problem| problem.file == *file).count();
            let noun = if count == 1 { "problem" } else { "problems" };
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{} has {count} {noun}", file.display())?;
            for problem in of_file {
                write!(f, "\n  {problem}")?;
            }
        }
        match self.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

/// `{"count": 2, "problems": [{"file", "line", "column", "key", "message"}]}`, with at most as
/// many problems as the text shows.
impl Serialize for Problems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Problems", 2)?;
        object.serialize_field("count", &self.len())?;
        object.serialize_field("problems", &self.sorted[..self.len().min(SHOWN_MAX)])?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(file: &str, line: u32, key: &str) -> Problem {
        let place = Some(Place { line, column: 1 });
        Problem { file: file.into(), place, key: key.into(), message: "is wrong; write it right".into() }
    }

    #[test]
    fn problems_read_from_top_to_bottom_the_manifest_first() {
        let problems = Problems::new(
            Path::new("shop.toml"),
            vec![problem("a.toml", 3, "c"), problem("shop.toml", 9, "b"), problem("shop.toml", 2, "a")],
        );
        let text = "shop.toml has 2 problems\n  2:1 a: is wrong; write it right\n  \
                    9:1 b: is wrong; write it right\na.toml has 1 problem\n  3:1 c: is wrong; write it right";
        assert_eq!(problems.to_string(), text);
    }

    #[test]
    fn what_is_too_much_to_read_is_counted() {
        let many = (1..=130).map(|line| problem("a.toml", line, "k")).collect();
        let problems = Problems::new(Path::new("a.toml"), many);
        let text = problems.to_string();
        assert!(text.starts_with("a.toml has 130 problems\n"));
        assert!(text.ends_with("\n… and 30 more"));
        assert_eq!(text.lines().count(), 102);
    }

    #[test]
    fn a_pipe_gets_line_and_column_as_numbers() {
        let problems = Problems::new(Path::new("a.toml"), vec![problem("a.toml", 4, "name")]);
        let expected = serde_json::json!({ "count": 1, "problems": [{
            "file": "a.toml", "line": 4, "column": 1, "key": "name", "message": "is wrong; write it right",
        }]});
        assert_eq!(serde_json::to_value(&problems).unwrap(), expected);
    }
}
