//! Follows a TOML file along its schema and finds every key and value that has no place there.
//!
//! Right values go on as JSON for serde, wrong ones are reported and left out, so that one
//! mistake hides no other. It knows nothing of what the keys mean: that is `check`.

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    quantity::{Share, Size, Time},
    schema,
    source::{self, Lines, Source},
};
use crate::problem::{Place, Problem};

/// What a file says, as far as it is right, and where it says it.
pub struct Read<T> {
    pub source: Source,
    pub problems: Vec<Problem>,
    /// `None` when the file is no TOML: then `problems` holds what the parser found.
    pub raw: Option<T>,
}

/// What to say of a key that a reader may expect to work and that does not, by its place in the schema
/// (`services.*.permissions.run`); nothing for all others.
pub type Refusal = fn(&str) -> Option<String>;

/// Reads `text`, the content of `file`, as a `T`.
pub fn read<T: JsonSchema + DeserializeOwned + 'static>(file: &Path, text: &str, refusal: Refusal) -> Read<T> {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |error: toml::de::Error| Problem {
            file: file.into(),
            place: error.span().map(|span| lines.place(span.start)),
            key: String::new(),
            message: error.message().trim().replace('\n', ", "),
        };
        return Read { source: Source::new(file), problems: errors.into_iter().map(problem).collect(), raw: None };
    }
    let mut walk = Walk { lines, source: Source::new(file), problems: Vec::new(), refusal };
    walk.source.place("", Place { line: 1, column: 1 });
    let root = At { path: String::new(), pattern: String::new() };
    let clean = walk.table(&root, table.get_ref(), &schema::of::<T>());
    let raw = serde_json::from_value(clean).expect("values that follow the schema are values of its type");
    Read { source: walk.source, problems: walk.problems, raw: Some(raw) }
}

struct Walk<'t> {
    lines: Lines<'t>,
    source: Source,
    problems: Vec<Problem>,
    refusal: Refusal,
}

/// A key by its path (`services.users.env`) and by its place in the schema (`services.*.env`).
struct At {
    path: String,
    pattern: String,
}

impl Walk<'_> {
    fn table(&mut self, at: &At, table: &DeTable<'_>, schema: &Value) -> Value {
        let mut clean = Map::new();
        for (name, value) in table {
            let path = source::child(&at.path, name.get_ref());
            // A table stands where its name does, anything else where its value does.
            let stands = if value.get_ref().is_table() { name.span() } else { value.span() };
            self.source.place(&path, self.lines.place(stands.start));
            let (segment, child) = match &schema["properties"][name.get_ref().as_ref()] {
                Value::Null => ("*", &schema["additionalProperties"]),
                known => (name.get_ref().as_ref(), known),
            };
            if child.is_object() {
                let at = At { path, pattern: pattern(&at.pattern, segment) };
                if let Some(value) = self.value(&at, value, child) {
                    clean.insert(name.get_ref().to_string(), value);
                }
                continue;
            }
            // The name itself is wrong.
            self.source.place(&path, self.lines.place(name.span().start));
            let message = (self.refusal)(&pattern(&at.pattern, name.get_ref()))
                .unwrap_or_else(|| unknown(name.get_ref(), schema));
            self.wrong(&path, message);
        }
        Value::Object(clean)
    }

    /// The value as JSON, or a problem.
    fn value(&mut self, at: &At, value: &Spanned<DeValue<'_>>, schema: &Value) -> Option<Value> {
        if is_anything(schema) {
            return anything(value.get_ref()).map_err(|message| self.wrong(&at.path, message)).ok();
        }
        let branches = schema["anyOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice);
        let kind = Kind::of(value.get_ref());
        let clean = match branches.iter().find(|branch| kind.fits(branch)) {
            _ if schema.get("const").is_some_and(|only| value.get_ref().as_bool() != only.as_bool()) => {
                Err((self.refusal)(&at.pattern).unwrap_or_else(|| format!("must be {}", schema["const"])))
            }
            None => Err(wrong_kind(value.get_ref(), kind, schema, branches)),
            Some(schema) => match value.get_ref() {
                DeValue::Table(table) => Ok(self.table(at, table, schema)),
                DeValue::Array(array) => return self.array(at, array, &schema["items"]),
                DeValue::String(text) => text_of(text, schema).map(|()| Value::from(text.as_ref())),
                DeValue::Boolean(yes) => Ok(Value::from(*yes)),
                DeValue::Integer(number) => whole_number(number.as_str(), number.radix()).map(Value::from),
                DeValue::Float(_) | DeValue::Datetime(_) => Err("nothing here is such a number".into()),
            },
        };
        clean.map_err(|message| self.wrong(&at.path, message)).ok()
    }

    /// None when an item is of a wrong kind: items after it must keep their numbers.
    fn array(&mut self, at: &At, array: &toml::de::DeArray<'_>, schema: &Value) -> Option<Value> {
        let items: Vec<_> = (array.iter().enumerate())
            .map(|(index, item)| {
                let at = At { path: source::item(&at.path, index), pattern: format!("{}[]", at.pattern) };
                self.source.place(&at.path, self.lines.place(item.span().start));
                self.value(&at, item, schema)
            })
            .collect();
        items.into_iter().collect()
    }

    fn wrong(&mut self, path: &str, message: String) {
        let problem = self.source.key(path).problem(message);
        self.problems.push(problem);
    }
}

/// Whether a schema only says what its value is for.
fn is_anything(schema: &Value) -> bool {
    ["type", "anyOf", "const", "enum", "properties"].iter().all(|rule| schema.get(rule).is_none())
}

/// A value as JSON, whatever it holds.
fn anything(value: &DeValue<'_>) -> Result<Value, String> {
    let number = |text: &str| text.replace('_', "").trim_start_matches('+').parse::<serde_json::Number>();
    match value {
        DeValue::String(text) => Ok(Value::from(text.as_ref())),
        DeValue::Boolean(yes) => Ok(Value::from(*yes)),
        DeValue::Integer(whole) if whole.radix() == 10 => {
            number(whole.as_str()).map(Value::from).map_err(|_| format!("{} is out of range", whole.as_str()))
        }
        DeValue::Integer(whole) => whole_number(whole.as_str(), whole.radix()).map(Value::from),
        DeValue::Float(fraction) => number(fraction.as_str())
            .map(Value::from)
            .map_err(|_| format!("`{}` is no number of JSON", fraction.as_str())),
        DeValue::Datetime(_) => Err("is a date, which JSON does not have; write it as a text".into()),
        DeValue::Array(items) => items.iter().map(|item| anything(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let member = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let name: &std::borrow::Cow<'_, str> = name.get_ref();
                Ok((name.to_string(), anything(value.get_ref())?))
            };
            table.iter().map(member).collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
    }
}

fn pattern(of_table: &str, segment: &str) -> String {
    if of_table.is_empty() { segment.into() } else { format!("{of_table}.{segment}") }
}

fn unknown(name: &str, schema: &Value) -> String {
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("unknown key; did you mean `{meant}`?"),
        None => format!("unknown key; the keys here are {}", known.join(", ")),
    }
}

/// The word that somebody who wrote `word` most likely meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = word.chars().count() / 3 + 1;
    let distance = |known: &'a str| (strsim::damerau_levenshtein(&word.to_lowercase(), known), known);
    known.into_iter().map(distance).filter(|(distance, _)| *distance <= far).min().map(|(_, known)| known)
}

/// Holds a text to the `pattern` or the `enum` of its schema.
fn text_of(text: &str, schema: &Value) -> Result<(), String> {
    match schema["pattern"].as_str() {
        Some(Size::PATTERN) => return text.parse::<Size>().map(drop).map_err(|error| error.to_string()),
        Some(Share::PATTERN) => return text.parse::<Share>().map(drop).map_err(|error| error.to_string()),
        Some(Time::PATTERN) => return text.parse::<Time>().map(drop).map_err(|error| error.to_string()),
        _ => {}
    }
    let words: Vec<&str> = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if words.is_empty() || words.contains(&text) {
        return Ok(());
    }
    match nearest(text, words.iter().copied()) {
        Some(meant) => Err(format!("`{text}` is not known here; did you mean `{meant}`?")),
        None => Err(format!("`{text}` is not known here; write {}", alternatives(&words))),
    }
}

fn alternatives(words: &[&str]) -> String {
    words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" or ")
}

fn whole_number(digits: &str, radix: u32) -> Result<u64, String> {
    let number = i128::from_str_radix(digits, radix)
        .map_err(|_| format!("`{digits}` is more than a computer can count; write less"))?;
    u64::try_from(number).map_err(|_| format!("{digits} is out of range; write a number from 0 on"))
}

/// The kinds of TOML values a schema can ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    WholeNumber,
    Fraction,
    Boolean,
    Table,
    List,
    Date,
}

impl Kind {
    fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(_) => Self::Text,
            DeValue::Integer(_) => Self::WholeNumber,
            DeValue::Float(_) => Self::Fraction,
            DeValue::Boolean(_) => Self::Boolean,
            DeValue::Table(_) => Self::Table,
            DeValue::Array(_) => Self::List,
            DeValue::Datetime(_) => Self::Date,
        }
    }

    fn wanted(schema: &Value) -> Option<Self> {
        match schema["type"].as_str()? {
            "string" => Some(Self::Text),
            "integer" => Some(Self::WholeNumber),
            "boolean" => Some(Self::Boolean),
            "object" => Some(Self::Table),
            "array" => Some(Self::List),
            _ => None,
        }
    }

    fn fits(self, schema: &Value) -> bool {
        Self::wanted(schema) == Some(self)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::WholeNumber => "a number",
            Self::Fraction => "a fraction",
            Self::Boolean => "true or false",
            Self::Table => "a table",
            Self::List => "a list",
            Self::Date => "a date",
        }
    }
}

fn wrong_kind(value: &DeValue<'_>, kind: Kind, schema: &Value, branches: &[Value]) -> String {
    if let DeValue::Integer(number) = value
        && let Ok(number) = whole_number(number.as_str(), number.radix())
    {
        let meant = match schema["pattern"].as_str() {
            Some(Size::PATTERN) => Some(Size::guess(number).to_string()),
            Some(Share::PATTERN) => Some(Share::percent(number).to_string()),
            Some(Time::PATTERN) => Some(Time::guess(number).to_string()),
            _ => None,
        };
        if let Some(meant) = meant {
            return format!("{number} has no unit; write `\"{meant}\"`");
        }
    }
    let wanted: Vec<_> = branches.iter().filter_map(Kind::wanted).map(Kind::name).collect();
    let example = [&schema["examples"][0], &schema["default"]].into_iter().find(|value| !value.is_null());
    let example = example.map(|value| format!(", such as `{value}`")).unwrap_or_default();
    format!("is {}; it must be {}{example}", kind.name(), wanted.join(" or "))
}
