//! The JSON Schema of a file, generated from the types that hold its words.
//!
//! One schema serves two readers: `archipel schema` prints the manifest's for editors, and `structure`
//! walks a file along it.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

/// One for each kind of file: made once, since each service has a file of permissions to be read.
static MADE: Mutex<Option<HashMap<TypeId, Arc<Value>>>> = Mutex::new(None);

/// The schema of a file that holds a `T`, JSON Schema 2020-12, without references: whoever
/// walks it finds each key's schema in its place.
pub fn of<T: JsonSchema + 'static>() -> Arc<Value> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.get_or_insert_default().entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(generated::<T>())).clone()
}

fn generated<T: JsonSchema>() -> Value {
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
