//! The manifest's schema: complete, described, without null.

use document::schema;
use serde_json::{Value, json};

use crate::raw::RawManifest;
use document::quantity::{Share, Size, Time};

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
    undescribed(&schema::of::<RawManifest>(), "", &mut found);
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
    let (schema, mut found) = (schema::of::<RawManifest>(), Vec::new());
    patterns(&schema, &mut found);
    assert!(
        found.len() > 10
            && found.iter().all(|pattern| [Size::PATTERN, Time::PATTERN, Share::PATTERN].contains(pattern))
    );
}

#[test]
fn the_schema_states_titles_requirements_and_defaults_and_no_null() {
    let schema = schema::of::<RawManifest>();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["title"], "Archipel manifest");
    assert_eq!(schema["required"], json!(["name"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    let service = &schema["properties"]["services"]["additionalProperties"];
    assert_eq!(service["oneOf"], json!([{ "required": ["component"] }, { "required": ["url"] }]));
    assert_eq!(service["properties"]["limits"]["properties"]["memory"]["default"], "64MiB");
    assert_eq!(service["properties"]["limits"]["properties"]["timeout"]["pattern"], "^[0-9]+(ms|s|m|h)$");
    assert!(!schema.to_string().contains("null"), "{schema:#}");
}
