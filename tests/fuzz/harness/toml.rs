//! The documents that people write: read as they are when named on the command line. Each is taken,
//! or refused with an error that says in which file.

use super::Input;

/// In a folder that is not there, so that no file which a document names is found beside it.
const FILE: &str = "no-such-folder/fuzzed.toml";

/// A byte for which kind of document, and the document; with a variant laid over it after a byte 0.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let is_target = input.byte() & 1 == 0;
    let text = input.text();
    let variant = input.text();
    let overrides: Vec<(String, String)> =
        variant.split_once('=').map(|(k, v)| (k.into(), v.into())).into_iter().collect();
    let error = match is_target {
        true => brunt::target::read(FILE, &text, &overrides).err().map(|e| e.to_string()),
        false => brunt::profile::read(FILE, &text, &overrides).err().map(|e| e.to_string()),
    };
    let Some(error) = error else { return };
    assert!(error.starts_with(FILE), "does not say where: {error}");
    assert!(error.len() > FILE.len() + 4, "says nothing: {error}");
}
