//! JSON Schema of documents that people write, for editors: derived from the types that are read, so
//! that it cannot know other keys than the reader does.

use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};

/// The schema of a document, as text.
pub fn of<T: JsonSchema>(title: &str) -> String {
    let settings = SchemaSettings::draft2020_12().with_transform(NoNull);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    let text = serde_json::to_string_pretty(&schema).expect("a schema is plain data");
    format!("{text}\n")
}

/// TOML has no null: what may be absent is absent.
#[derive(Clone, Debug)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(types) = schema.get_mut("type").and_then(|t| t.as_array_mut()) {
            types.retain(|t| t != "null");
            if let [only] = &mut types[..] {
                let only = only.take();
                schema.insert("type".into(), only);
            }
        }
        if let Some(ways) = schema.get_mut("anyOf").and_then(|w| w.as_array_mut()) {
            ways.retain(|way| way != &serde_json::json!({ "type": "null" }));
            if let [only] = &mut ways[..]
                && let serde_json::Value::Object(only) = only.take()
            {
                schema.remove("anyOf");
                for (key, value) in only {
                    schema.ensure_object().entry(key).or_insert(value);
                }
            }
        }
        if let Some(default) = schema.get_mut("default") {
            drop_nulls(default);
            if default.is_null() {
                schema.remove("default");
            }
        }
        transform_subschemas(self, schema);
    }
}

fn drop_nulls(value: &mut serde_json::Value) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, inner| !inner.is_null());
        object.values_mut().for_each(drop_nulls);
    }
}
