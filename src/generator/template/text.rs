//! Text with placeholders, taken apart.

use crate::plan::ValuePlan;
use crate::workload::{Draws, Values, is_path_byte};

/// A piece of a request's text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Text(Vec<u8>),
    Value(usize),
    /// A value that a person wrote, in the path: percent-encoded where that is needed.
    PathValue(usize),
    /// The length of the body, filled in once that is rendered.
    BodyLength,
}

/// Where a text stands, which decides what may not be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Header,
    Body,
}

impl Place {
    /// Whether a text that is not known when the request is written may stand here as it is.
    fn fits(self, text: &[u8]) -> bool {
        match self {
            Place::Path => text.iter().all(|b| is_path_byte(*b)),
            Place::Header => !text.iter().any(|b| b.is_ascii_control() && *b != b'\t'),
            Place::Body => true,
        }
    }
}

/// What the placeholders of a text stand for.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub names: &'a [ValuePlan],
    pub values: &'a Values,
}

impl Names<'_> {
    /// Text with `{value}` placeholders; braces around anything else are text. `${env:NAME}` is
    /// the environment variable, looked up here and kept nowhere else.
    pub fn parts(&self, text: &str, place: Place) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '$']) {
            push_text(&mut parts, &rest.as_bytes()[..open]);
            rest = &rest[open..];
            let reference = rest.strip_prefix("${env:").and_then(|tail| tail.split_once('}'));
            let placeholder = rest.strip_prefix('{').and_then(|tail| tail.split_once('}'));
            let known = placeholder.and_then(|(name, after)| {
                self.names.iter().position(|v| v.name == name).map(|index| (index, after))
            });
            rest = match (reference, known) {
                (Some((name, after)), _) => {
                    push_text(&mut parts, environment(name, place)?.as_bytes());
                    after
                }
                (None, Some((index, after))) => {
                    parts.push(self.value(index, place)?);
                    after
                }
                (None, None) => {
                    push_text(&mut parts, &rest.as_bytes()[..1]);
                    &rest[1..]
                }
            };
        }
        push_text(&mut parts, rest.as_bytes());
        Ok(parts)
    }

    fn value(&self, index: usize, place: Place) -> Result<Part, String> {
        if place == Place::Path && self.values.is_free_text(index) {
            return Ok(Part::PathValue(index));
        }
        match self.values.first_unfit(index, |text| place.fits(text)) {
            None => Ok(Part::Value(index)),
            Some(at) => Err(format!(
                "`{{{}}}` stands in a header, and its text number {at} holds a control character, \
                 which would end the header",
                self.names[index].name
            )),
        }
    }
}

fn environment(name: &str, place: Place) -> Result<String, String> {
    let value = std::env::var(name)
        .map_err(|_| format!("the environment has no `{name}`, or it is not text"))?;
    if value.bytes().any(|b| b.is_ascii_control()) {
        return Err(format!("`{name}` of the environment holds a control character"));
    }
    match place.fits(value.as_bytes()) {
        true => Ok(value),
        false => Err(format!("`{name}` of the environment cannot stand in a path; encode it")),
    }
}

/// Adds a text; adjacent ones become one.
pub(super) fn push_text(parts: &mut Vec<Part>, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    if let Some(Part::Text(last)) = parts.last_mut() {
        last.extend_from_slice(text);
    } else {
        parts.push(Part::Text(text.to_vec()));
    }
}

pub(super) fn push_all(parts: &mut Vec<Part>, more: &[Part]) {
    for part in more {
        match part {
            Part::Text(text) => push_text(parts, text),
            other => parts.push(other.clone()),
        }
    }
}

/// The length of a text that is always the same.
pub(super) fn fixed_length(parts: &[Part]) -> Option<usize> {
    parts.iter().map(|p| if let Part::Text(text) = p { Some(text.len()) } else { None }).sum()
}

/// Adds what the parts say for a request.
#[inline]
pub(super) fn render(parts: &[Part], values: &Values, draws: &Draws, out: &mut Vec<u8>) {
    for part in parts {
        match part {
            Part::Text(text) => out.extend_from_slice(text),
            Part::Value(index) => values.render(*index, draws, out),
            Part::PathValue(index) => values.render_in_path(*index, draws, out),
            Part::BodyLength => {}
        }
    }
}
