//! TOML documents with errors that name the file, the line and the key, and what to do.

use serde::de::DeserializeOwned;
use std::fmt;

/// What is wrong with a document that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    pub file: String,
    /// 1-based; absent when the problem has no place (a missing key of the whole document).
    pub line: Option<usize>,
    /// Dotted path of the key, empty for the document itself.
    pub key: String,
    pub problem: String,
    pub hint: Option<String>,
}

impl std::error::Error for DocumentError {}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": `{}`", self.key)?;
        }
        write!(f, ": {}", self.problem)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Reads a document into a value. `overrides` are inline variants, `("balancer.algorithm",
/// "round-robin")`, laid over it.
///
/// # Errors
/// Malformed TOML, unknown keys (with the nearest valid name), wrong types and values.
pub fn read<T: DeserializeOwned>(
    file: &str,
    text: &str,
    overrides: &[(String, String)],
) -> Result<T, DocumentError> {
    if overrides.is_empty() {
        return parse(file, text);
    }
    let mut table: toml::Table = parse(file, text)?;
    for (path, value) in overrides {
        lay_over(&mut table, path, value).map_err(|problem| DocumentError {
            file: format!("{file} (inline variant)"),
            line: None,
            key: path.clone(),
            problem,
            hint: Some("write it like horizontal[balancer.algorithm=round-robin]".into()),
        })?;
    }
    let text = table.to_string();
    parse(&format!("{file} (with inline variant)"), &text)
        .map_err(|e| DocumentError { line: None, ..e })
}

fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, DocumentError> {
    let document = toml::Deserializer::parse(text).map_err(|e| describe(file, text, "", &e))?;
    serde_path_to_error::deserialize(document).map_err(|e| {
        let key = match e.path().to_string() {
            dot if dot == "." => String::new(),
            path => path,
        };
        describe(file, text, &key, e.inner())
    })
}

fn describe(file: &str, text: &str, key: &str, error: &toml::de::Error) -> DocumentError {
    let line =
        error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    let message = error.message().trim().to_string();
    DocumentError {
        file: file.to_string(),
        line,
        key: key.to_string(),
        hint: nearest_expected(&message),
        problem: message.replace('\n', "; "),
    }
}

/// For "unknown field `x`, expected one of `a`, `b`": the nearest of those.
fn nearest_expected(message: &str) -> Option<String> {
    let (seen, expected) = message.split_once(", expected ")?;
    let seen = quoted(seen).next_back()?;
    nearest(seen, quoted(expected)).map(|name| format!("did you mean `{name}`?"))
}

fn quoted(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split('`')
        .enumerate()
        .filter(|(i, _)| i % 2 == 1)
        .map(|(_, s)| s)
        .collect::<Vec<_>>()
        .into_iter()
}

/// The candidate that a person most likely meant, if any is near.
pub fn nearest<'a>(seen: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|name| (strsim::jaro_winkler(seen, name), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn lay_over(table: &mut toml::Table, path: &str, value: &str) -> Result<(), String> {
    let mut keys = path.split('.').collect::<Vec<_>>();
    let last = keys.pop().filter(|k| !k.is_empty()).ok_or("the key is empty")?;
    let mut at = table;
    for key in keys {
        at = at
            .entry(key)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .ok_or_else(|| format!("`{key}` is not a table"))?;
    }
    // A value that is not TOML by itself (round-robin, 250ms) is text.
    let parsed = format!("v = {value}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| toml::Value::String(value.to_string()));
    at.insert(last.to_string(), parsed);
    Ok(())
}

/// Splits `name[key=value,key=value]` into the name and its overrides.
///
/// # Errors
/// A sentence when the brackets are not closed or a part has no `=`.
pub fn split_variant(text: &str) -> Result<(String, Vec<(String, String)>), String> {
    let Some((name, rest)) = text.split_once('[') else {
        return Ok((text.to_string(), Vec::new()));
    };
    let wrong = || {
        format!(
            "`{text}` is not a variant; write it like horizontal[balancer.algorithm=round-robin]"
        )
    };
    let inner = rest.strip_suffix(']').ok_or_else(wrong)?;
    let pairs = inner.split(',').map(|pair| {
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        Ok((key.trim().to_string(), value.trim().to_string()))
    });
    Ok((name.to_string(), pairs.collect::<Result<_, String>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        inner: Inner,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        count: u32,
        algorithm: Option<String>,
    }

    #[test]
    fn errors_name_file_line_key_and_the_nearest_name() {
        let error = read::<Sample>("x.toml", "[inner]\ncuont = 3\n", &[]).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("x.toml:2: `inner.cuont`"), "{text}");
        assert!(text.contains("did you mean `count`?"), "{text}");
        let error = read::<Sample>("x.toml", "[inner]\n\ncount = \"many\"\n", &[]).unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (Some(3), "inner.count"));
        let error = read::<Sample>("x.toml", "[inner\n", &[]).unwrap_err();
        assert_eq!(error.line, Some(1), "{error}");
    }

    #[test]
    fn variants_are_laid_over() {
        let (name, overrides) =
            split_variant("x[inner.count=7, inner.algorithm=round-robin]").unwrap();
        assert_eq!(name, "x");
        let value: Sample = read("x.toml", "[inner]\ncount = 1\n", &overrides).unwrap();
        assert_eq!(value.inner, Inner { count: 7, algorithm: Some("round-robin".into()) });
        let wrong = split_variant("x[inner.count]").unwrap_err();
        assert!(wrong.contains("write it like"), "{wrong}");
        let error =
            read::<Sample>("x.toml", "[inner]\ncount=1", &[("inner.cont".into(), "2".into())]);
        assert!(error.unwrap_err().to_string().contains("did you mean"));
    }
}
