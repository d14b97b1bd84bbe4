//! `[feeder.NAME]`: a table of values from a CSV file.

use crate::base::random::mix;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const MIB: u64 = 1 << 20;
/// The largest feeder file.
const FILE_MAX: u64 = 64 * MIB;
/// The largest body file.
const BODY_MAX: u64 = 16 * MIB;
/// Most cells of a feeder; each is a text of its own in the plan.
const CELLS_MAX: usize = 4_000_000;

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeederSpec {
    /// CSV with a header row, relative to the profile's file.
    pub file: String,
    #[serde(default)]
    pub order: Order,
    /// Read from the file.
    #[serde(skip)]
    pub table: Table,
}

/// Which row a request gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    #[default]
    Random,
    Sequential,
}

/// What a CSV file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// # Errors
    /// What is wrong, with the file and the line where there is one.
    pub fn read(path: &Path) -> Result<Table, String> {
        let shown = path.display();
        let bytes = read_bounded(path, FILE_MAX)?;
        let mut reader = csv::ReaderBuilder::new().from_reader(bytes.as_slice());
        let header = reader.headers().map_err(|e| format!("{shown}: {}", csv_problem(&e)))?;
        let columns: Vec<String> = header.iter().map(|name| name.trim().to_string()).collect();
        check_columns(&columns).map_err(|problem| format!("{shown}:1: {problem}"))?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| format!("{shown}{}", csv_place(&e)))?;
            rows.push(record.iter().map(str::to_string).collect());
            if rows.len() * columns.len() > CELLS_MAX {
                return Err(format!("{shown}: has more than {CELLS_MAX} cells; use a shorter one"));
            }
        }
        if rows.is_empty() {
            return Err(format!("{shown}: has no rows after its header row"));
        }
        Ok(Table { columns, rows })
    }

    /// A hash of the cells, 16 hexadecimal digits: tells tables apart, hides nothing.
    pub fn hash(&self) -> String {
        let mut hash = mix(self.columns.len() as u64);
        for cell in self.columns.iter().chain(self.rows.iter().flatten()) {
            hash = mix(hash ^ cell.len() as u64);
            for bytes in cell.as_bytes().chunks(8) {
                let mut word = [0; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                hash = mix(hash ^ u64::from_le_bytes(word));
            }
        }
        format!("{hash:016x}")
    }
}

fn check_columns(columns: &[String]) -> Result<(), String> {
    for (index, name) in columns.iter().enumerate() {
        let is_sound = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(is_sound) {
            return Err(format!(
                "the header row names a column `{name}`; use letters, digits, `-` and `_`"
            ));
        }
        if columns[..index].contains(name) {
            return Err(format!("the header row has the column `{name}` twice"));
        }
    }
    Ok(())
}

fn csv_place(error: &csv::Error) -> String {
    let line = error.position().map(|p| format!(":{}", p.line())).unwrap_or_default();
    format!("{line}: {}", csv_problem(error))
}

fn csv_problem(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} cells, the header row has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "the row is not UTF-8".into(),
        _ => error.to_string(),
    }
}

/// The bytes of a body file.
///
/// # Errors
/// When it cannot be read or is too large.
pub(super) fn read_body(path: &Path) -> Result<Vec<u8>, String> {
    read_bounded(path, BODY_MAX)
}

/// The text of a PEM file.
///
/// # Errors
/// When it cannot be read, or holds no PEM.
pub(super) fn read_pem(path: &Path) -> Result<String, String> {
    let text = String::from_utf8(read_bounded(path, MIB)?).unwrap_or_default();
    match text.contains("-----BEGIN ") {
        true => Ok(text),
        false => Err(format!("{}: is not PEM", path.display())),
    }
}

fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let unreadable = |e: std::io::Error| format!("cannot read {}: {e}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > max {
        true => Err(format!("{}: is larger than {} MiB", path.display(), max / MIB)),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Table, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.csv");
        std::fs::write(&path, bytes).unwrap();
        Table::read(&path).map_err(|e| e.replace(&folder.path().display().to_string(), ""))
    }

    #[test]
    fn a_table_has_the_columns_of_its_header() {
        let table = read(b"name, mail\na,\"x, y\"\nb,\n").unwrap();
        assert_eq!(table.columns, ["name", "mail"]);
        assert_eq!(table.rows, [["a", "x, y"], ["b", ""]]);
        assert_eq!(table.hash(), table.clone().hash());
        assert_ne!(table.hash(), read(b"name,mail\na,\"x, \"\nb,y\n").unwrap().hash());
    }

    #[test]
    fn what_is_wrong_has_a_line() {
        for (bytes, part) in [
            (&b"a,b\n1,2\n3\n"[..], "users.csv:3: the row has 1 cells, the header row has 2"),
            (b"a,b\n1,2\n3,\xff\n", "users.csv:3: the row is not UTF-8"),
            (b"a,a\n1,2\n", "users.csv:1: the header row has the column `a` twice"),
            (b"a b\n1\n", "users.csv:1: the header row names a column `a b`"),
            (b"a\n", "has no rows"),
            (b"", "has no rows"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(Table::read(Path::new("/no/such.csv")).unwrap_err().contains("cannot read"));
    }
}
