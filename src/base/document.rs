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
/// "round-robin")`, laid over it; `example` shows how such a variant is written.
///
/// # Errors
/// Malformed TOML, unknown keys (with the nearest valid name), wrong types and values.
pub fn read<T: DeserializeOwned>(
    file: &str,
    text: &str,
    overrides: &[(String, String)],
    example: &str,
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
            hint: Some(format!("write it like {example}")),
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

/// The line of a key that a check found wrong after the document was read: `phase.peak.lasts` is in
/// the `[[phase]]` named `peak`, `server.app.units` in `[server.app]`, `server.app.node[1].role` in
/// the second `[[server.app.node]]`. Its table's line when the key itself is not written there.
pub fn line_of(text: &str, key: &str) -> Option<usize> {
    let (path, last) = key.rsplit_once('.').unwrap_or(("", key));
    let (path, mut to_pass) = numbered(path);
    let (kind, name) = path.split_once('.').unwrap_or((path, ""));
    let mut section = "";
    let (mut at_table, mut is_inside) = (None, path.is_empty());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') && line.ends_with(']') {
            section = line.trim_matches(['[', ']']).trim();
            // Which of several `[[phase]]` a key without a name or number means is not known.
            is_inside = section == path
                && match (line.starts_with("[["), &mut to_pass) {
                    (is_array, None) => !is_array,
                    (true, Some(left)) => {
                        *left -= 1;
                        *left == -1
                    }
                    (false, Some(_)) => false,
                };
            at_table = at_table.or_else(|| (is_inside || section == key).then_some(index + 1));
            continue;
        }
        let Some((written, value)) = line.split_once('=') else { continue };
        let (written, value) = (written.trim(), value.trim());
        if section == kind && written == "name" && value.trim_matches(['"', '\'']) == name {
            is_inside = true;
            at_table = at_table.or(Some(index + 1));
        }
        if is_inside && written == last {
            return Some(index + 1);
        }
    }
    at_table
}

/// `node[1]` is the second one: one is to be passed.
fn numbered(path: &str) -> (&str, Option<i64>) {
    let split = path.strip_suffix(']').and_then(|p| p.rsplit_once('['));
    match split.and_then(|(path, number)| Some((path, number.parse().ok()?))) {
        Some((path, number)) => (path, Some(number)),
        None => (path, None),
    }
}

/// `x.toml:3`, or the file alone.
pub fn place(file: &str, text: &str, key: &str) -> String {
    match line_of(text, key) {
        Some(line) => format!("{file}:{line}"),
        None => file.to_string(),
    }
}

/// Splits `name[key=value,key=value]` into the name and its overrides.
///
/// # Errors
/// A sentence when the brackets are not closed or a part has no `=`.
pub fn split_variant(text: &str, example: &str) -> Result<(String, Vec<(String, String)>), String> {
    let Some((name, rest)) = text.split_once('[') else {
        return Ok((text.to_string(), Vec::new()));
    };
    let wrong = || format!("`{text}` is not a variant; write it like {example}");
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
        let error = read::<Sample>("x.toml", "[inner]\ncuont = 3\n", &[], "x[a=b]").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("x.toml:2: `inner.cuont`"), "{text}");
        assert!(text.contains("did you mean `count`?"), "{text}");
        let error =
            read::<Sample>("x.toml", "[inner]\n\ncount = \"many\"\n", &[], "x[a=b]").unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (Some(3), "inner.count"));
        let error = read::<Sample>("x.toml", "[inner\n", &[], "x[a=b]").unwrap_err();
        assert_eq!(error.line, Some(1), "{error}");
    }

    #[test]
    fn variants_are_laid_over() {
        let (name, overrides) =
            split_variant("x[inner.count=7, inner.algorithm=round-robin]", "x[a=b]").unwrap();
        assert_eq!(name, "x");
        let value: Sample = read("x.toml", "[inner]\ncount = 1\n", &overrides, "x[a=b]").unwrap();
        assert_eq!(value.inner, Inner { count: 7, algorithm: Some("round-robin".into()) });
        let wrong = split_variant("x[inner.count]", "x[a=b]").unwrap_err();
        assert!(wrong.contains("write it like"), "{wrong}");
        let typed = [("inner.cont".into(), "2".into())];
        let error = read::<Sample>("x.toml", "[inner]\ncount=1", &typed, "x[a=b]");
        assert!(error.unwrap_err().to_string().contains("did you mean"));
    }

    #[test]
    fn a_key_that_a_check_found_wrong_has_a_line() {
        let text = "in_time = \"1s\"\n[[phase]]\nname = \"a\"\nlasts = \"1s\"\n[[phase]]\nname = \"b\"\nlasts = \"0s\"\n[server.app]\nunits = 0\n";
        for (key, line) in [
            ("in_time", Some(1)),
            ("phase.a.lasts", Some(4)),
            ("phase.b.lasts", Some(7)),
            ("phase.b.rate", Some(6)),
            ("phase", Some(2)),
            ("phase.name", None),
            ("server.app.units", Some(9)),
            ("server.app.count", Some(8)),
            ("public.entry", None),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
        let text = "[[a.node]]\nrole = 1\n[[b.node]]\n[[a.node]]\nneeds = 2\nrole = 3\n";
        for (key, line) in [
            ("a.node[0].role", Some(2)),
            ("a.node[1].role", Some(6)),
            ("a.node[1].start", Some(4)),
            ("b.node[0].role", Some(3)),
            ("b.node[1].role", None),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
    }
}
