//! A module imports from lower floors only; siblings on one floor do not know each other.
//! Reads every `crate::` path outside tests and names the import that breaks this.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, as in ARCHITECTURE.md.
const FLOORS: &[(&str, u32)] = &[
    ("base", 0),
    ("wire", 1),
    ("workload", 1),
    ("objective", 1),
    ("fault", 1),
    ("audience", 1),
    ("target", 2),
    ("profile", 2),
    ("plan", 3),
    ("record", 4),
    ("host", 4),
    ("fleet", 5),
    ("stack", 5),
    ("generator", 5),
    ("chaos", 5),
    ("probe", 5),
    ("run", 6),
    ("analysis", 6),
    ("gate", 7),
    ("study", 8),
    ("report", 8),
    ("live", 8),
    ("cli", 9),
];

fn floor(module: &str) -> u32 {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .unwrap_or_else(|| panic!("module `{module}` has no floor; add it to ARCHITECTURE.md"))
        .1
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The source without its unit tests, which may look at anything.
fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod ").next().unwrap()
}

#[test]
fn every_import_goes_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut broken = Vec::new();
    let mut seen = 0;
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let own = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if own == "main" || own == "lib" || inside.ends_with("testing.rs") {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        for (number, line) in without_tests(&source).lines().enumerate() {
            for path in line.split("crate::").skip(1) {
                let module: String =
                    path.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                if module.is_empty() || module == own {
                    continue;
                }
                seen += 1;
                if floor(&module) >= floor(own) {
                    broken.push(format!(
                        "{}:{}: {own} (floor {}) imports {module} (floor {})",
                        inside.display(),
                        number + 1,
                        floor(own),
                        floor(&module)
                    ));
                }
            }
        }
    }
    assert!(seen > 20, "only {seen} imports were read: is the test looking at the source?");
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}
