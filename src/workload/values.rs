//! The values of a request's placeholders.

use super::{Draws, Zipf};
use std::io::Write;

/// How one placeholder's value is drawn.
#[derive(Clone, Debug)]
pub enum Value {
    Zipf(Zipf),
    /// `1..=n`.
    Uniform(u64),
    Choice(Vec<String>),
    /// 16 hexadecimal digits that no other request of the run has.
    WriteId,
}

/// The purposes of a request's draws below this are not placeholders.
const PURPOSE_FIRST: u64 = 16;
const PURPOSE_REQUEST: u64 = 0;
const PURPOSE_REGION: u64 = 1;

/// All value generators of a load, by index.
#[derive(Clone, Debug, Default)]
pub struct Values {
    values: Vec<Value>,
}

impl Values {
    pub fn new(values: Vec<Value>) -> Values {
        Values { values }
    }

    /// The word that picks the kind of request.
    #[inline]
    pub fn request_word(draws: &Draws) -> u64 {
        draws.word(PURPOSE_REQUEST)
    }

    /// The word that picks the region.
    #[inline]
    pub fn region_word(draws: &Draws) -> u64 {
        draws.word(PURPOSE_REGION)
    }

    /// The number behind a value: a rank, a number, a position in the choice, an id.
    #[inline]
    pub fn number(&self, index: usize, draws: &Draws) -> u64 {
        let word = || draws.word(PURPOSE_FIRST + index as u64);
        match &self.values[index] {
            Value::Zipf(zipf) => zipf.rank(word()),
            Value::Uniform(n) => 1 + scaled(word(), (*n).max(1)),
            Value::Choice(of) => scaled(word(), of.len().max(1) as u64),
            Value::WriteId => draws.id(),
        }
    }

    /// Writes the value's text; the same value of the same request is the same text everywhere.
    #[inline]
    pub fn render(&self, index: usize, draws: &Draws, out: &mut Vec<u8>) {
        let number = self.number(index, draws);
        match &self.values[index] {
            Value::Zipf(_) | Value::Uniform(_) => decimal(number, out),
            Value::Choice(of) => {
                out.extend_from_slice(of.get(number as usize).map_or(b"", |s| s.as_bytes()));
            }
            Value::WriteId => hexadecimal(number, out),
        }
    }

    /// Whether it names one of n things: what a checked request reads or writes.
    pub fn is_key(&self, index: usize) -> bool {
        matches!(self.values[index], Value::Zipf(_) | Value::Uniform(_))
    }

    pub fn is_write_id(&self, index: usize) -> bool {
        matches!(self.values[index], Value::WriteId)
    }
}

fn scaled(word: u64, n: u64) -> u64 {
    ((u128::from(word) * u128::from(n)) >> 64) as u64
}

fn decimal(number: u64, out: &mut Vec<u8>) {
    write!(out, "{number}").expect("writing to a vector does not fail");
}

fn hexadecimal(number: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (i, digit) in text.iter_mut().enumerate() {
        *digit = DIGITS[(number >> (60 - 4 * i)) as usize & 15];
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_render_as_the_plan_says() {
        let values = Values::new(vec![
            Value::Uniform(9),
            Value::Choice(vec!["a".into(), "b".into()]),
            Value::WriteId,
        ]);
        let text = |index, draws: &Draws| {
            let mut out = Vec::new();
            values.render(index, draws, &mut out);
            String::from_utf8(out).unwrap()
        };
        let mut seen = std::collections::BTreeSet::new();
        for i in 0..500 {
            let draws = Draws::new(1, 0, i);
            let number: u64 = text(0, &draws).parse().unwrap();
            assert!((1..=9).contains(&number));
            seen.insert(number);
            assert!(["a", "b"].contains(&text(1, &draws).as_str()));
            assert_eq!(text(2, &draws).len(), 16);
            assert_eq!(u64::from_str_radix(&text(2, &draws), 16).unwrap(), draws.id());
        }
        assert_eq!(seen.len(), 9);
    }
}
