//! The manifest's JSON Schema, generated from the raw types.
//!
//! One schema serves three readers: `archipel schema` prints it for editors, `structure` walks
//! a file along it, and a test holds its descriptions to be complete.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

/// The schema of a file that holds a `T`, JSON Schema 2020-12, without references: whoever
/// walks it finds each key's schema in its place.
pub(super) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    without_null(&mut schema);
    schema
}

/// TOML has no null: an `Option` is a key that may be left out and nothing else.
fn without_null(schema: &mut Value) {
    let null = json!({ "type": "null" });
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    object["type"] = only.clone();
                }
            }
            if let Some(Value::Array(words)) = object.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
            if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
                branches.retain(|branch| *branch != null);
                if let [Value::Object(only)] = branches.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    // What a field says about itself is more exact than what its type says.
                    only.into_iter().for_each(|(key, value)| {
                        object.entry(key).or_insert(value);
                    });
                }
            }
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        quantity::{Share, Size, Time},
        raw::RawManifest,
    };

    fn undescribed(schema: &Value, key: &str, found: &mut Vec<String>) {
        for (name, child) in schema["properties"].as_object().into_iter().flatten() {
            let key = format!("{key}.{name}");
            if child["description"].as_str().is_none_or(str::is_empty) {
                found.push(key.clone());
            }
            undescribed(child, &key, found);
        }
        undescribed_below(schema, key, found);
    }

    fn undescribed_below(schema: &Value, key: &str, found: &mut Vec<String>) {
        for keyword in ["additionalProperties", "items"] {
            if schema[keyword].is_object() {
                undescribed(&schema[keyword], &format!("{key}.*"), found);
            }
        }
        for branch in schema["anyOf"].as_array().into_iter().flatten() {
            undescribed(branch, key, found);
        }
    }

    #[test]
    fn every_key_says_what_it_is() {
        let mut found = Vec::new();
        undescribed(&of::<RawManifest>(), "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    /// A pattern that the walk does not know would be shown to editors and never checked here.
    #[test]
    fn every_pattern_is_one_that_is_checked() {
        fn patterns<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
            found.extend(schema.get("pattern").and_then(Value::as_str));
            schema.as_object().into_iter().flatten().for_each(|(_, child)| patterns(child, found));
            schema.as_array().into_iter().flatten().for_each(|child| patterns(child, found));
        }
        let (schema, mut found) = (of::<RawManifest>(), Vec::new());
        patterns(&schema, &mut found);
        assert!(
            found.len() > 10
                && found.iter().all(|pattern| [Size::PATTERN, Time::PATTERN, Share::PATTERN].contains(pattern))
        );
    }

    #[test]
    fn the_schema_states_titles_requirements_and_defaults_and_no_null() {
        let schema = of::<RawManifest>();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], "Archipel manifest");
        assert_eq!(schema["required"], json!(["name"]));
        assert_eq!(schema["additionalProperties"], json!(false));
        let service = &schema["properties"]["services"]["additionalProperties"];
        assert_eq!(service["required"], json!(["component"]));
        assert_eq!(service["properties"]["limits"]["properties"]["memory"]["default"], "64MiB");
        assert_eq!(service["properties"]["limits"]["properties"]["timeout"]["pattern"], "^[0-9]+(ms|s|m|h)$");
        assert!(!schema.to_string().contains("null"), "{schema:#}");
    }
}
