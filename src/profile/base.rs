//! A profile that differs from another in a few keys: `base = "campaign"`.
//!
//! Each top-level key that the profile does not have itself is taken from its base, whole: a
//! profile with a `[[phase]]` of its own has none of the base's phases. The two texts are put
//! together as text, so that what is wrong with a line is still told with that line.

use super::bundled;
use super::file::ProfileError;
use crate::base::document::{self, DocumentError};
use std::path::{Path, PathBuf};

/// The text of a profile, with what it takes from its base.
#[derive(Debug)]
pub(super) struct Written {
    file: String,
    own: String,
    base: Option<Base>,
    /// What is to be read: the base's values, the profile's own text, the base's tables.
    pub text: String,
}

#[derive(Debug)]
struct Base {
    file: String,
    text: String,
    /// Top-level keys that are taken from it.
    keys: Vec<String>,
    /// Lines before the profile's own text.
    n_lines_before: usize,
}

impl Written {
    /// Finds the base that `text` names, if it names one.
    ///
    /// # Errors
    /// Malformed TOML, a base that is not there, or one that has a base itself.
    pub fn of(file: &str, text: &str) -> Result<Written, ProfileError> {
        let whole =
            |text: String| Written { file: file.into(), own: text.clone(), base: None, text };
        // What is malformed is told by whoever reads it next.
        let Ok(own) = text.parse::<toml::Table>() else { return Ok(whole(text.into())) };
        let Some(name) = own.get("base") else { return Ok(whole(text.into())) };
        let wrong = |problem: String| ProfileError::Impossible {
            file: document::place(file, text, "base"),
            key: "base".into(),
            problem,
        };
        let name = name
            .as_str()
            .ok_or_else(|| wrong("is the name of a profile, like \"campaign\"".into()))?;
        let (base_file, base_text) =
            bundled::find(&beside(file, name)).map_err(|error| wrong(error.to_string()))?;
        let mut laid_under = document::read::<toml::Table>(&base_file, &base_text, &[], "")
            .map_err(ProfileError::Document)?;
        if laid_under.contains_key("base") {
            return Err(wrong(format!(
                "{base_file} has a base itself; name the profile that has everything"
            )));
        }
        laid_under.retain(|key, _| !own.contains_key(key));
        let keys = laid_under.keys().cloned().collect();
        let is_table = |value: &toml::Value| {
            value.is_table()
                || value.as_array().is_some_and(|a| a.iter().all(toml::Value::is_table))
        };
        let (tables, values): (toml::Table, toml::Table) =
            laid_under.into_iter().partition(|(_, value)| is_table(value));
        let before = values.to_string();
        let n_lines_before = before.matches('\n').count();
        Ok(Written {
            file: file.into(),
            own: text.into(),
            text: format!("{before}{text}\n{tables}"),
            base: Some(Base { file: base_file, text: base_text, keys, n_lines_before }),
        })
    }

    /// Where a key is written, in the profile or in its base.
    pub fn place(&self, key: &str) -> String {
        match self.base_of(key) {
            Some(base) => document::place(&base.file, &base.text, key),
            None => document::place(&self.file, &self.own, key),
        }
    }

    /// The folder that files which this key names are relative to.
    pub fn folder(&self, key: &str) -> PathBuf {
        let file = self.base_of(key).map_or(&self.file, |base| &base.file);
        Path::new(file).parent().unwrap_or(Path::new("")).to_path_buf()
    }

    /// An error about the text that was put together, as one about the text that was written.
    pub fn as_written(&self, error: DocumentError) -> DocumentError {
        let Some(base) = &self.base else { return error };
        if self.base_of(&error.key).is_some() {
            return DocumentError { file: base.file.clone(), line: None, ..error };
        }
        let n_own = self.own.lines().count();
        let line = error.line.and_then(|line| line.checked_sub(base.n_lines_before));
        DocumentError { line: line.filter(|line| (1..=n_own).contains(line)), ..error }
    }

    fn base_of(&self, key: &str) -> Option<&Base> {
        let first = key.split(['.', '[']).next().unwrap_or_default();
        self.base.as_ref().filter(|base| base.keys.iter().any(|k| k == first))
    }
}

/// A path is relative to the file that names it; a name is one of the library.
fn beside(file: &str, name: &str) -> String {
    match name.contains('/') || name.ends_with(".toml") {
        true => Path::new(file).with_file_name(name).display().to_string(),
        false => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::read;
    use std::fs;

    fn error(text: &str) -> String {
        read("own.toml", text, &[]).unwrap_err().to_string()
    }

    const PHASE: &str = "[[phase]]\nname = \"a\"\nlasts = \"9s\"\nrate = \"1 unit\"\n";

    #[test]
    fn what_a_profile_does_not_say_its_base_does() {
        let campaign = crate::profile::load("campaign").unwrap();
        let text = format!("base = \"campaign\"\nin_time = \"300ms\"\nfault = []\n{PHASE}");
        let own = read("own.toml", &text, &[]).unwrap();
        assert_eq!(own.in_time.as_millis_f64(), 300.0);
        assert_eq!((own.phase.len(), own.fault.len()), (1, 0));
        assert_eq!((&own.request, &own.value), (&campaign.request, &campaign.value));
        assert_eq!((own.timeout, &own.steady), (campaign.timeout, &campaign.steady));
        let laid = [("in_time".to_string(), "1s".to_string())];
        let variant = read("own.toml", &text, &laid).unwrap();
        assert_eq!(variant.in_time.as_millis_f64(), 1000.0);
    }

    #[test]
    fn errors_name_the_line_of_the_file_that_has_it() {
        let base = "base = \"campaign\"\nfault = []\n";
        let seen = error(&format!("{base}{PHASE}ratte = 3\n"));
        assert!(seen.starts_with("own.toml:7: `phase"), "{seen}");
        let seen = error(&format!("{base}in_tme = \"1s\"\n{PHASE}"));
        assert!(seen.starts_with("own.toml:3") && seen.contains("in_time"), "{seen}");
        let seen = error(&format!("{base}in_time = \"9s\"\n{PHASE}"));
        assert!(seen.starts_with("own.toml:3: `in_time`"), "{seen}");
        let seen = error(&format!("base = \"campaign\"\n{PHASE}"));
        assert!(
            seen.contains("campaign.toml:") && seen.contains("`fault.lose-server.at`"),
            "{seen}"
        );
    }

    #[test]
    fn a_base_that_cannot_be_one_is_refused() {
        let seen = error(&format!("base = \"campain\"\n{PHASE}"));
        assert!(seen.starts_with("own.toml:1: `base`") && seen.contains("did you mean"), "{seen}");
        assert!(error("base = 3\n").contains("is the name of a profile"));
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("one.toml"), "base = \"campaign\"\n").unwrap();
        let seen = read(&path("two.toml"), "base = \"one.toml\"\n", &[]).unwrap_err().to_string();
        assert!(seen.contains("one.toml has a base itself"), "{seen}");
    }

    #[test]
    fn files_are_looked_for_beside_the_text_that_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("people.csv"), "name\nada\n").unwrap();
        let base = format!(
            "in_time = \"1s\"\n{PHASE}[feeder.people]\nfile = \"people.csv\"\n\
             [[request]]\nname = \"r\"\nweight = 1\npath = \"/{{people.name}}\"\n"
        );
        fs::write(inner.join("base.toml"), base).unwrap();
        let own = folder.path().join("own.toml").display().to_string();
        let profile = read(&own, "base = \"inner/base.toml\"\nin_time = \"2s\"\n", &[]).unwrap();
        assert_eq!(profile.feeder["people"].table.rows.len(), 1);
    }
}
