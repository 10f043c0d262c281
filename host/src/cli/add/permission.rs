//! How a permission grows by a line: lists and tables get what they lack, `read` becomes `read-write`, comments and
//! layout stay.

use anyhow::{Context, bail};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// Adds `line` to the service's permissions; the lines as they are now.
///
/// # Errors
/// When it is no line of permissions, or all of it is there already.
pub(super) fn added(document: &mut DocumentMut, service: &str, line: &str) -> anyhow::Result<String> {
    let more: DocumentMut = line.parse().with_context(|| format!("`{line}` is no line of TOML"))?;
    if let Err(problems) = grant::Permissions::needs(line) {
        bail!("`{line}` is no permission: {}", problems.join("; "));
    }
    let unknown = more.iter().find(|(key, _)| !grant::Permissions::KEYS.contains(key));
    if let Some((key, _)) = unknown {
        bail!("there is no permission `{key}`; there are {}", grant::Permissions::KEYS.join(", "));
    }
    let permissions = permissions(document, service)?;
    let mut changed = Vec::new();
    for (key, item) in more.iter() {
        let more = item.as_value().with_context(|| format!("write `{key}` in one line"))?;
        let has_grown = match permissions.get_mut(key) {
            Some(item) => grow_item(item, more).with_context(|| format!("`{key}` of `{service}`"))?,
            None => put(permissions, key, more),
        };
        if has_grown {
            changed.push(key.to_owned());
        }
    }
    if changed.is_empty() {
        bail!("`{service}` has `{}` already", line.trim());
    }
    let line = |key: &String| {
        let text = permissions.get(key).map(ToString::to_string).unwrap_or_default();
        format!("{key} = {}\n", text.trim())
    };
    let lines: String = changed.iter().map(line).collect();
    Ok(format!("[services.{service}.permissions]\n{lines}"))
}

/// The table of its permissions, made where there is none.
fn permissions<'d>(document: &'d mut DocumentMut, service: &str) -> anyhow::Result<&'d mut dyn TableLike> {
    let services = document.get_mut("services").and_then(Item::as_table_like_mut);
    let own = services.and_then(|services| services.get_mut(service)).context("no such service")?;
    let is_inline = own.is_inline_table();
    let own = own.as_table_like_mut().context("the service is no table")?;
    if !own.contains_key("permissions") {
        if is_inline {
            put(own, "permissions", &InlineTable::new().into());
        } else {
            own.insert("permissions", Item::Table(Table::new()));
        }
    }
    own.get_mut("permissions").and_then(Item::as_table_like_mut).context("its `permissions` is no table")
}

/// Whether something was missing.
fn grow_item(item: &mut Item, more: &Value) -> anyhow::Result<bool> {
    match (item, more) {
        (Item::Value(value), more) => grow(value, more),
        (Item::Table(table), more) => grow_table(table, more),
        _ => bail!("it is written in a way that is edited by hand only"),
    }
}

fn grow(value: &mut Value, more: &Value) -> anyhow::Result<bool> {
    if same(value, more) {
        return Ok(false);
    }
    match (value, more) {
        (Value::Array(have), Value::Array(more)) => Ok(grow_array(have, more)),
        // `call`: a list of services, and one that is granted for some requests only.
        (value @ Value::Array(_), Value::InlineTable(_)) => {
            let whole: InlineTable = texts(value).into_iter().map(|name| (name, Value::from(true))).collect();
            let decor = value.decor().clone();
            let mut table = Value::InlineTable(whole);
            *table.decor_mut() = decor;
            *value = table;
            grow(value, more)
        }
        (Value::InlineTable(have), more) => grow_table(have, more),
        (value @ Value::Boolean(_), more @ (Value::Boolean(_) | Value::Array(_))) if value.as_bool() == Some(false) => {
            Ok(replaced(value, more))
        }
        // Everything is granted already.
        (Value::Boolean(_), Value::Array(_)) | (_, Value::Boolean(_)) if more.as_bool() == Some(false) => Ok(false),
        (Value::Boolean(_), Value::Array(_)) => Ok(false),
        (value @ Value::Array(_), more @ Value::Boolean(_)) => Ok(replaced(value, more)),
        (value @ Value::String(_), more @ Value::String(_)) => match (value.as_str(), more.as_str()) {
            (Some("read"), Some("read-write")) => Ok(replaced(value, more)),
            (Some("read-write"), Some("read")) => Ok(false),
            _ => bail!("it is `{}` already; change it by hand", value.to_string().trim()),
        },
        (value, _) => bail!("it is `{}` already; change it by hand", value.to_string().trim()),
    }
}

fn grow_table(have: &mut dyn TableLike, more: &Value) -> anyhow::Result<bool> {
    match more {
        Value::InlineTable(more) => {
            let mut has_grown = false;
            for (key, more) in more.iter() {
                has_grown |= match have.get_mut(key) {
                    Some(item) => grow_item(item, more).with_context(|| format!("`{key}`"))?,
                    None => put(have, key, more),
                };
            }
            Ok(has_grown)
        }
        // `{ allow, deny }`, and what is to be allowed besides.
        Value::Array(_) if have.contains_key("allow") || have.contains_key("deny") => {
            let allow = have.entry("allow").or_insert(Item::Value(Array::new().into()));
            grow_item(allow, more)
        }
        // `call`: some for some requests only, and one that is granted whole.
        Value::Array(_) => {
            let names = texts(more);
            Ok(names.into_iter().fold(false, |grown, name| {
                let is_whole = have.get(&name).and_then(Item::as_bool) == Some(true);
                have.insert(&name, Item::Value(true.into()));
                grown | !is_whole
            }))
        }
        // `{ prefix, mode }`, and a mode alone.
        Value::String(_) if have.contains_key("mode") => {
            have.get_mut("mode").map_or(Ok(false), |mode| grow_item(mode, more))
        }
        _ => bail!("it is a table already; change it by hand"),
    }
}

/// An array that stands a line an item goes on so, and what is said behind the last item stays there.
fn grow_array(have: &mut Array, more: &Array) -> bool {
    let missing: Vec<Value> =
        more.iter().filter(|item| !have.iter().any(|known| same(known, item))).map(bare).collect();
    if missing.is_empty() {
        return false;
    }
    let Some(last) = have.iter_mut().last() else {
        have.extend(missing);
        return true;
    };
    let prefix = raw(last.decor().prefix());
    let line = prefix.rfind('\n').map_or_else(|| " ".to_owned(), |at| prefix[at..].to_owned());
    let (mut said, mut end) = behind(&raw(last.decor().suffix()));
    last.decor_mut().set_suffix("");
    if have.trailing_comma() {
        let trailing = behind(have.trailing().as_str().unwrap_or_default());
        have.set_trailing(&trailing.1);
        (said, end) = (trailing.0, String::new());
    }
    for mut item in missing {
        item.decor_mut().set_prefix(format!("{said}{line}"));
        said.clear();
        have.push_formatted(item);
    }
    if let Some(last) = have.iter_mut().last() {
        last.decor_mut().set_suffix(end);
    }
    true
}

/// A comment behind an item, and what comes before the array's end.
fn behind(text: &str) -> (String, String) {
    let (said, end) = text.split_at(text.rfind('\n').unwrap_or(0));
    (said.to_owned(), end.to_owned())
}

fn raw(text: Option<&toml_edit::RawString>) -> String {
    text.and_then(|text| text.as_str()).unwrap_or_default().to_owned()
}

/// A member more: always something new. In one line what stands before the brace goes on doing so; a table's last line
/// keeps its comment.
fn put(table: &mut dyn TableLike, key: &str, value: &Value) -> bool {
    let mut value = bare(value);
    if let Some((_, Item::Value(last))) = table.iter_mut().last() {
        let suffix = raw(last.decor().suffix());
        if suffix.trim().is_empty() && !suffix.is_empty() {
            last.decor_mut().set_suffix("");
            value.decor_mut().set_suffix(suffix);
        }
    }
    table.insert(key, Item::Value(value));
    true
}

fn replaced(value: &mut Value, more: &Value) -> bool {
    let decor = value.decor().clone();
    *value = bare(more);
    *value.decor_mut() = decor;
    true
}

fn texts(array: &Value) -> Vec<String> {
    array.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Whether both say the same, however they are laid out.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_str(), other.as_str()) {
        (Some(one), Some(other)) => one == other,
        _ => bare(one).to_string() == bare(other).to_string(),
    }
}

/// Without what stands around it in its own line.
fn bare(value: &Value) -> Value {
    let mut value = value.clone();
    value.decor_mut().clear();
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manifest's permissions after `line` was added to `before`.
    #[track_caller]
    fn grown(before: &str, line: &str) -> String {
        let mut document: DocumentMut = before.parse().unwrap();
        added(&mut document, "a", line).unwrap();
        document.to_string()
    }

    #[track_caller]
    fn refused(before: &str, line: &str) -> String {
        let mut document: DocumentMut = before.parse().unwrap();
        format!("{:#}", added(&mut document, "a", line).unwrap_err())
    }

    const OF_A: &str = "[services.a.permissions]\n";

    #[test]
    fn what_is_missing_is_added_and_the_rest_stays_as_it_is_laid_out() {
        let table = [
            ("", "net = [\"b:1\"]", "net = [\"b:1\"]\n"),
            ("net = [ \"a:1\" ] # why\n", "net = [\"b:1\"]", "net = [ \"a:1\", \"b:1\" ] # why\n"),
            ("net = [\n  \"a:1\" # one\n]\n", "net = [\"b:1\"]", "net = [\n  \"a:1\", # one\n  \"b:1\"\n]\n"),
            ("net = [\n  \"a:1\", # one\n]\n", "net = [\"b:1\"]", "net = [\n  \"a:1\", # one\n  \"b:1\",\n]\n"),
            (
                "net = { allow = [], deny = [\"c:1\"] }\n",
                "net = [\"b:1\"]",
                "net = { allow = [\"b:1\"], deny = [\"c:1\"] }\n",
            ),
            (
                "postgres = { m = \"read\" } # it\n",
                "postgres = { m = \"read-write\" }",
                "postgres = { m = \"read-write\" } # it\n",
            ),
            (
                "postgres = { m = \"read\" }\n",
                "postgres = { n = \"read\" }",
                "postgres = { m = \"read\", n = \"read\" }\n",
            ),
            (
                "keyvalue = { c = { prefix = \"a:\", mode = \"read\" } }\n",
                "keyvalue = { c = \"read-write\" }",
                "keyvalue = { c = { prefix = \"a:\", mode = \"read-write\" } }\n",
            ),
            ("call = [\"b\"]\n", "call = { c = [\"GET /x\"] }", "call = { b = true, c = [\"GET /x\"] }\n"),
            (
                "call = { c = [\"GET /x\"] }\n",
                "call = { c = [\"GET /y\"] }",
                "call = { c = [\"GET /x\", \"GET /y\"] }\n",
            ),
            ("call = { c = [\"GET /x\"] }\n", "call = [\"c\"]", "call = { c = true }\n"),
            ("passwords = false\n", "passwords = true", "passwords = true\n"),
        ];
        for (before, line, after) in table {
            assert_eq!(grown(&format!("{OF_A}{before}"), line), format!("{OF_A}{after}"), "{line}");
        }
    }

    #[test]
    fn a_service_without_permissions_gets_their_table() {
        let before = "[services.a]\ncomponent = \"a.wasm\"\n\n# The rest.\n[[routes]]\npath = \"/\"\n";
        let after = "[services.a]\ncomponent = \"a.wasm\"\n\n[services.a.permissions]\nsockets = true\n\n# The rest.\n[[routes]]\npath = \"/\"\n";
        assert_eq!(grown(before, "sockets = true"), after);
        let inline = "[services]\na = { component = \"a.wasm\" }\n";
        let after = "[services]\na = { component = \"a.wasm\", permissions = { sockets = true } }\n";
        assert_eq!(grown(inline, "sockets = true"), after);
    }

    #[test]
    fn what_is_there_or_is_no_permission_is_refused() {
        let has = |before: &str, line: &str| refused(&format!("{OF_A}{before}"), line);
        assert_eq!(has("net = [\"b:1\"]\n", "net = [\"b:1\"]"), "`a` has `net = [\"b:1\"]` already");
        assert!(has("net = true\n", "net = [\"b:1\"]").contains("already"));
        assert!(has("postgres = { m = \"read-write\" }\n", "postgres = { m = \"read\" }").contains("already"));
        assert!(has("", "nets = [\"b:1\"]").contains("no permission"));
        assert!(has("", "net = [\"b\"").contains("is no line of TOML"));
        assert!(has("", "run = true").contains("no permission"), "{}", has("", "run = true"));
    }
}
