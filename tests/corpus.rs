//! The committed corpora of the fuzzers, replayed: what was found once stays found.

#[path = "fuzz/harness/mod.rs"]
mod harness;

use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let input = std::fs::read(&file).expect("a readable input");
        let result = std::panic::catch_unwind(|| check(&input));
        assert!(result.is_ok(), "{} fails again: {}", file.display(), input.escape_ascii());
    }
}

#[test]
fn responses() {
    replay("response", harness::response::check);
}

#[test]
fn templates() {
    replay("template", harness::template::check);
}

#[test]
fn documents() {
    replay("toml", harness::toml::check);
}

#[test]
fn words() {
    replay("words", harness::words::check);
}
