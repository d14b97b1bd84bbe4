//! The JSON Schemas of `brunt schema` and what brunt reads: neither knows a key that the other does
//! not, and what is read is never marked as wrong by an editor.

use boon::{Compiler, SchemaIndex, Schemas};
use brunt::{profile, target};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

type Read = fn(&str, &str) -> Result<(), String>;

struct Kind {
    name: &'static str,
    schema: String,
    read: Read,
}

fn kinds() -> [Kind; 2] {
    let of_target: Read =
        |file, text| target::read(file, text, &[]).map(drop).map_err(|e| e.to_string());
    let of_profile: Read =
        |file, text| profile::read(file, text, &[]).map(drop).map_err(|e| e.to_string());
    [
        Kind { name: "target", schema: target::json_schema(), read: of_target },
        Kind { name: "profile", schema: profile::json_schema(), read: of_profile },
    ]
}

impl Kind {
    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{}s", self.name))
    }

    /// Every file of the kind that is inside the binary, with its path.
    fn files(&self) -> Vec<(String, String)> {
        let paths = std::fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().path());
        let documents = paths.filter(|path| path.extension().is_some_and(|e| e == "toml"));
        let mut files: Vec<_> = documents
            .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
            .collect();
        files.sort();
        assert!(files.len() >= 8, "{files:?}");
        files
    }
}

struct Checker {
    schemas: Schemas,
    root: SchemaIndex,
}

impl Checker {
    fn new(schema: &str) -> Checker {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let at = "http://brunt.test/schema.json";
        compiler.add_resource(at, serde_json::from_str(schema).unwrap()).unwrap();
        let root = compiler.compile(at, &mut schemas).unwrap();
        Checker { schemas, root }
    }

    fn check(&self, document: &Value) -> Result<(), String> {
        self.schemas.validate(document, self.root).map_err(|e| format!("{e:#}"))
    }
}

fn as_json(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

fn as_toml(document: &Value) -> String {
    toml::Table::try_from(document).unwrap().to_string()
}

/// The pointers of every table in a document.
fn tables(document: &Value, at: &str, found: &mut Vec<String>) {
    match document {
        Value::Object(table) => {
            found.push(at.to_string());
            for (key, value) in table {
                let key = key.replace('~', "~0").replace('/', "~1");
                tables(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                tables(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn tables_of(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    tables(document, "", &mut found);
    found
}

fn with(
    document: &Value,
    table: &str,
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) -> Value {
    let mut changed = document.clone();
    change(changed.pointer_mut(table).unwrap().as_object_mut().unwrap());
    changed
}

#[test]
fn every_bundled_file_names_its_schema_and_keeps_to_it() {
    for kind in kinds() {
        let file = format!("{}.schema.json", kind.name);
        let beside = kind.folder().join(&file);
        let stored = std::fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(stored, kind.schema, "run: brunt schema {} > {}", kind.name, beside.display());
        let checker = Checker::new(&kind.schema);
        for (path, text) in kind.files() {
            assert_eq!(text.lines().next().unwrap(), format!("#:schema ./{file}"), "{path}");
            checker.check(&as_json(&text)).unwrap_or_else(|e| panic!("{path}: {e}"));
        }
    }
}

#[test]
fn a_wrong_key_is_wrong_in_every_table_for_both() {
    for kind in kinds() {
        let checker = Checker::new(&kind.schema);
        let mut tried = 0;
        for (path, text) in kind.files() {
            let document = as_json(&text);
            for table in tables_of(&document) {
                let changed =
                    with(&document, &table, |t| drop(t.insert("wrong_key".into(), json!(1))));
                let place = format!("{path}: a wrong key in {table}");
                assert!((kind.read)(&path, &as_toml(&changed)).is_err(), "{place}: was read");
                assert!(checker.check(&changed).is_err(), "{place}: keeps to the schema");
                tried += 1;
            }
        }
        assert!(tried > 50, "{tried}");
    }
}

/// Each key of a table taken away, and given other values.
fn changes(document: &Value, table: &str, key: &str) -> Vec<Value> {
    let given = |value: Value| with(document, table, |t| drop(t.insert(key.into(), value)));
    let mut changes = vec![with(document, table, |t| drop(t.remove(key)))];
    changes.extend([json!("1s"), json!("app"), json!(1), json!(0.5), json!(true)].map(given));
    // serde reads a list in place of a table's values, which nobody writes.
    if !document.pointer(table).unwrap()[key].is_object() {
        changes.push(given(json!(["app"])));
    }
    changes
}

/// A schema that is stricter than the reader would mark sound files in red.
#[test]
fn what_is_read_keeps_to_the_schema() {
    for kind in kinds() {
        let checker = Checker::new(&kind.schema);
        let (mut were_read, mut were_refused) = (0, 0);
        for (path, text) in kind.files() {
            let document = as_json(&text);
            for table in tables_of(&document) {
                let keys = document.pointer(&table).unwrap().as_object().unwrap().keys();
                for changed in keys.flat_map(|key| changes(&document, &table, key)) {
                    if (kind.read)(&path, &as_toml(&changed)).is_err() {
                        were_refused += 1;
                        continue;
                    }
                    were_read += 1;
                    checker.check(&changed).unwrap_or_else(|e| {
                        panic!("{path}: changed in {table}, it was read, but: {e}\n{changed:#}")
                    });
                }
            }
        }
        assert!(were_read > 100 && were_refused > 100, "{were_read} {were_refused}");
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    let [_, profile] = kinds();
    let checker = Checker::new(&profile.schema);
    let fault = |fault: Value| json!({ "base": "campaign", "fault": [fault] });
    let sound = json!({ "name": "a", "on": "app->database", "at": "9s", "lasts": "1s", "kind": "latency", "delay": "5ms", "share": 0.5 });
    checker.check(&fault(sound.clone())).unwrap();
    for (key, value) in [
        ("kind", Some(json!("latencie"))),
        ("kind", Some(json!("kill"))),
        ("delay", None),
        ("delay", Some(json!(5))),
        ("name", None),
        ("at", Some(json!("9"))),
    ] {
        let mut changed = sound.clone();
        match value {
            Some(value) => changed[key] = value,
            None => drop(changed.as_object_mut().unwrap().remove(key)),
        }
        assert!(checker.check(&fault(changed.clone())).is_err(), "{changed}");
    }
    assert!(checker.check(&json!({ "in_time": "1s" })).is_err(), "no phase, and no base");
}
