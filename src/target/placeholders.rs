//! `{address}` and the like in a user's command, environment and files: what only the plan and the
//! run know of a node.
//!
//! A placeholder is a word in small letters in braces; anything else in braces is left alone, and
//! so is `${word}`, which is a variable to many programs. `{{word}}` is written as `{word}`.

use std::fmt;

/// What can stand in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `HOST:PORT` where the node listens.
    Address,
    Host,
    Port,
    /// The node's own folder, which holds its files.
    Folder,
    /// A folder below it for what the node keeps.
    Data,
    /// Cores that its server may use, rounded up.
    Threads,
    /// Where it dials another node that it `needs`.
    Peer(String),
}

const KNOWN: &str = "{address}, {host}, {port}, {folder}, {data}, {threads} or {peer:NAME}";

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placeholder::Address => f.write_str("{address}"),
            Placeholder::Host => f.write_str("{host}"),
            Placeholder::Port => f.write_str("{port}"),
            Placeholder::Folder => f.write_str("{folder}"),
            Placeholder::Data => f.write_str("{data}"),
            Placeholder::Threads => f.write_str("{threads}"),
            Placeholder::Peer(name) => write!(f, "{{peer:{name}}}"),
        }
    }
}

/// The text with every placeholder filled in by `value`.
///
/// # Errors
/// A sentence about the first word in braces that is none, or that `value` refuses.
pub fn fill(
    text: &str,
    value: &dyn Fn(&Placeholder) -> Result<String, String>,
) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        filled.push_str(before);
        let is_variable = before.ends_with('$');
        let Some(word) = word(&from[1..]).filter(|_| !is_variable) else {
            // `{{word}}` is the only other thing that means something.
            let escaped = from[1..].strip_prefix('{').and_then(word);
            let escaped = escaped.filter(|w| from[w.len() + 3..].starts_with('}') && !is_variable);
            let taken = match escaped {
                Some(word) => {
                    filled.push_str(&from[1..word.len() + 3]);
                    word.len() + 4
                }
                None => {
                    filled.push('{');
                    1
                }
            };
            rest = &from[taken..];
            continue;
        };
        filled.push_str(&value(&named(word)?)?);
        rest = &from[word.len() + 2..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// What stands before `}` when it looks like a placeholder: `word` or `word:name`.
fn word(text: &str) -> Option<&str> {
    let inside = &text[..text.find('}')?];
    let (word, name) = inside.split_once(':').unwrap_or((inside, "x"));
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (is_word && !name.is_empty() && name.chars().all(is_name)).then_some(inside)
}

fn named(word: &str) -> Result<Placeholder, String> {
    Ok(match word.split_once(':') {
        None => match word {
            "address" => Placeholder::Address,
            "host" => Placeholder::Host,
            "port" => Placeholder::Port,
            "folder" => Placeholder::Folder,
            "data" => Placeholder::Data,
            "threads" => Placeholder::Threads,
            _ => return Err(unknown(word)),
        },
        Some(("peer", name)) => Placeholder::Peer(name.into()),
        Some(_) => return Err(unknown(word)),
    })
}

fn unknown(word: &str) -> String {
    format!(
        "`{{{word}}}` is not known; use {KNOWN}, or write {{{{{word}}}}} for the word in braces"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_in(text: &str) -> Result<String, String> {
        fill(text, &|p| match p {
            Placeholder::Peer(name) if name != "web-1" => Err(format!("no {name}")),
            p => Ok(format!("<{}>", p.to_string().trim_matches(['{', '}']))),
        })
    }

    #[test]
    fn words_are_filled_in_and_code_is_left_alone() {
        for (text, expected) in [
            ("listen {address};", "listen <address>;"),
            ("{host}:{port}{threads}", "<host>:<port><threads>"),
            ("events { worker_connections 64; }", "events { worker_connections 64; }"),
            ("http {\n  a {folder}/b;\n}", "http {\n  a <folder>/b;\n}"),
            ("server web {peer:web-1} check", "server web <peer:web-1> check"),
            ("${host} ${env:TOKEN} {}", "${host} ${env:TOKEN} {}"),
            ("{{address}} {{ x }} {2,3} {", "{address} {{ x }} {2,3} {"),
            ("{\"a\":1}", "{\"a\":1}"),
            ("ä{data}ö{ü}", "ä<data>ö{ü}"),
        ] {
            assert_eq!(fill_in(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_word_that_is_none_is_refused_with_those_that_are() {
        for text in ["{adress}", "{peers:web-1}", "x {prot} y"] {
            let error = fill_in(text).unwrap_err();
            assert!(error.contains("{address}") && error.contains("{{"), "{error}");
        }
        assert_eq!(fill_in("{peer:web-9}").unwrap_err(), "no web-9");
    }
}
