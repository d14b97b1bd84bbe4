//! Documents that are found by name: in a folder of the working directory, by path, or inside
//! the binary, so that brunt works from any folder.

use super::document::nearest;
use std::path::Path;

/// A family of named documents.
pub struct Library {
    /// `target` or `profile`, for messages.
    pub what: &'static str,
    /// `targets` or `profiles`.
    pub folder: &'static str,
    /// `(name, text)` inside the binary.
    pub bundled: &'static [(&'static str, &'static str)],
}

#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error("there is no {what} `{name}`; there are: {known}{hint}")]
    Unknown { what: &'static str, name: String, known: String, hint: String },
    #[error("cannot read {what} {path}: {cause}")]
    Unreadable { what: &'static str, path: String, cause: std::io::Error },
}

impl Library {
    /// The file name to show and the text. A path (it has a `/` or ends in `.toml`) is read as such;
    /// a name is looked up in the folder first, so that a copy there can be edited.
    ///
    /// # Errors
    /// Unknown names list what exists.
    pub fn find(&self, name: &str) -> Result<(String, String), LibraryError> {
        let path = if name.contains('/') || name.ends_with(".toml") {
            name.to_string()
        } else {
            let local = format!("{}/{name}.toml", self.folder);
            if !Path::new(&local).is_file() {
                return self.bundled(name).ok_or_else(|| self.unknown(name));
            }
            local
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok((path, text)),
            Err(cause) => Err(LibraryError::Unreadable { what: self.what, path, cause }),
        }
    }

    /// As [`Library::find`], from inside the binary alone.
    pub fn bundled(&self, name: &str) -> Option<(String, String)> {
        let (name, text) = self.bundled.iter().find(|(n, _)| *n == name)?;
        Some((self.bundled_file(name), (*text).to_string()))
    }

    fn bundled_file(&self, name: &str) -> String {
        format!("{}/{name}.toml (bundled)", self.folder)
    }

    /// Whether [`Library::find`] gives this file name to what is inside the binary.
    pub fn is_bundled(&self, file: &str) -> bool {
        self.bundled.iter().any(|(name, _)| self.bundled_file(name) == file)
    }

    fn unknown(&self, name: &str) -> LibraryError {
        let names = self.names();
        let hint = nearest(name, names.iter().map(String::as_str))
            .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        let known = names.join(", ");
        LibraryError::Unknown { what: self.what, name: name.to_string(), known, hint }
    }

    /// Every name that [`Library::find`] knows, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.bundled.iter().map(|(n, _)| (*n).to_string()).collect();
        for entry in std::fs::read_dir(self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "toml") {
                names.extend(path.file_stem().map(|s| s.to_string_lossy().into_owned()));
            }
        }
        names.sort();
        names.dedup();
        names
    }
}
