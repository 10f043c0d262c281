//! A strict reader of both formats: what it accepts, Prometheus accepts.

use std::collections::BTreeMap;

/// One answer, read.
#[derive(Debug, Default)]
pub struct Page {
    /// Type by name, with the suffix that all samples of the family share.
    pub families: BTreeMap<String, String>,
    /// By name and labels, as they are written.
    pub samples: BTreeMap<String, f64>,
}

impl Page {
    pub fn value(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }
}

/// The family whose samples are being read.
#[derive(Default)]
struct Open {
    name: String,
    kind: String,
    has_samples: bool,
    /// Of a histogram: labels without `le`, last bound, last count.
    series: Option<(String, f64, f64)>,
}

#[track_caller]
pub fn parsed(text: &str, open_metrics: bool) -> Page {
    let mut page = Page::default();
    let mut open = Open::default();
    let mut helped = String::new();
    assert!(text.ends_with('\n'), "the last line ends, too");
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.last() == Some(&"# EOF"), open_metrics, "the last line");
    if open_metrics {
        lines.pop();
    }
    for line in lines {
        assert_eq!(line.trim(), line, "no spaces around");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && !help.is_empty(), "{line}");
            name.clone_into(&mut helped);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "help before type, of the same: {line}");
            let kinds: &[&str] = if open_metrics {
                &["counter", "gauge", "histogram", "info"]
            } else {
                &["counter", "gauge", "histogram"]
            };
            assert!(kinds.contains(&kind), "{line}");
            let shown = match (open_metrics, kind) {
                (true, "counter") => format!("{name}_total"),
                (true, "info") => format!("{name}_info"),
                _ => name.to_owned(),
            };
            assert!(page.families.insert(shown, kind.to_owned()).is_none(), "a family stands once: {line}");
            open = Open { name: name.to_owned(), kind: kind.to_owned(), ..Open::default() };
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').unwrap();
            assert!(open_metrics && name == open.name && name.ends_with(&format!("_{unit}")), "{line}");
            assert!(!open.has_samples, "before all samples: {line}");
        } else {
            assert!(!line.starts_with('#'), "{line}");
            sample(line, open_metrics, &mut open, &mut page);
        }
    }
    page
}

#[track_caller]
fn sample(line: &str, open_metrics: bool, open: &mut Open, page: &mut Page) {
    let (line, exemplar) = line.split_once(" # ").map_or((line, None), |(line, exemplar)| (line, Some(exemplar)));
    if let Some(exemplar) = exemplar {
        assert!(open_metrics && line.contains("_bucket{"), "only there may one stand: {line} # {exemplar}");
        self::exemplar(exemplar, line);
    }
    let (series, value) = line.rsplit_once(' ').unwrap();
    let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"))),
        None => (series, ""),
    };
    let suffix = name.strip_prefix(&open.name).unwrap_or_else(|| panic!("a sample of another family: {line}"));
    let suffixes: &[&str] = match (open_metrics, open.kind.as_str()) {
        (true, "counter") => &["_total"],
        (true, "info") => &["_info"],
        (_, "histogram") => &["_bucket", "_sum", "_count"],
        _ => &[""],
    };
    assert!(suffixes.contains(&suffix), "{line}");
    assert!(open.kind != "counter" || (open.name.ends_with("_total") != open_metrics && value >= 0.0), "{line}");
    let pairs = pairs(labels);
    let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.iter().all(|name| is_name(name) && !name.starts_with("__")), "{line}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), pairs.len(), "a label stands once: {line}");
    if open.kind == "histogram" {
        bucket(line, suffix, &pairs, value, open);
    }
    open.has_samples = true;
    assert!(page.samples.insert(series.to_owned(), value).is_none(), "a series stands once: {line}");
}

/// `{trace_id="…"} 0.0042 1700000000.123`, which is in its bucket.
#[track_caller]
fn exemplar(text: &str, line: &str) {
    let (labels, rest) = text.strip_prefix('{').and_then(|text| text.split_once("} ")).expect("labels");
    let pairs = pairs(labels);
    assert!(pairs.len() == 1 && pairs[0].0 == "trace_id" && pairs[0].1.len() == 32, "{text}");
    let (value, at) = rest.split_once(' ').expect("a value and its time");
    let (value, at): (f64, f64) = (value.parse().unwrap(), at.parse().unwrap());
    let bound = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a bound");
    assert!(value > 0.0 && (bound == "+Inf" || value <= bound.parse().unwrap()), "{line} # {text}");
    assert!(at > 1.7e9, "seconds since 1970: {text}");
}

#[track_caller]
fn bucket(line: &str, suffix: &str, pairs: &[(String, String)], value: f64, open: &mut Open) {
    let own = format!("{:?}", pairs.iter().filter(|(name, _)| name != "le").collect::<Vec<_>>());
    let bound = pairs.iter().find(|(name, _)| name == "le").map(|(_, bound)| match bound.as_str() {
        "+Inf" => f64::INFINITY,
        bound => bound.parse().unwrap_or_else(|_| panic!("{line}")),
    });
    match (suffix, bound, open.series.take()) {
        ("_bucket", Some(bound), before) => {
            if let Some((labels, last, count)) = before.filter(|(_, last, _)| last.is_finite()) {
                assert!(labels == own && bound > last && value >= count, "buckets grow: {line}");
            }
            open.series = Some((own, bound, value));
        }
        ("_sum", None, Some(series)) => {
            assert!(series.0 == own && series.1.is_infinite(), "after the last bucket: {line}");
            open.series = Some(series);
        }
        ("_count", None, Some(series)) => assert!(series.0 == own && series.2 == value, "all of them: {line}"),
        _ => panic!("out of order: {line}"),
    }
}

/// `a="b",c="d"`, with escapes.
#[track_caller]
fn pairs(labels: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{labels}"));
        let mut text = String::new();
        let mut characters = value.char_indices();
        let end = loop {
            match characters.next().unwrap_or_else(|| panic!("{labels}")) {
                (at, '"') => break at,
                (_, '\\') => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, c @ ('"' | '\\'))) => text.push(c),
                    _ => panic!("{labels}"),
                },
                (_, c) => text.push(c),
            }
        };
        pairs.push((name.to_owned(), text));
        rest = &value[end + 1..];
        rest = if rest.is_empty() { rest } else { rest.strip_prefix(',').unwrap_or_else(|| panic!("{labels}")) };
    }
    pairs
}

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(is_part) && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}
