//! What must hold for any input, shared by the fuzzers (`tests/fuzz/run`) and by the replay of
//! their corpora in `tests/corpus.rs`. A check panics when it finds something wrong.

#![allow(dead_code, reason = "each fuzzer uses one of the checks")]

pub mod response;
pub mod template;
pub mod toml;
pub mod words;

/// Takes an input apart: a fuzzer's bytes as numbers and texts.
pub struct Input<'a> {
    left: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Input<'a> {
        Input { left: data }
    }

    /// The next byte; 0 after the last.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.left.split_first() else { return 0 };
        self.left = rest;
        *first
    }

    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A text up to the next byte 0, which no text here has use for; not UTF-8: replaced.
    pub fn text(&mut self) -> String {
        let end = self.left.iter().position(|b| *b == 0).unwrap_or(self.left.len());
        let (text, rest) = self.left.split_at(end);
        self.left = rest.get(1..).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    pub fn rest(self) -> &'a [u8] {
        self.left
    }
}
