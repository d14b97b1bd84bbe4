//! The values of a request's placeholders.

use super::draws::scaled;
use super::text;
use super::{Draws, Feeder, Zipf};
use crate::base::random::mix;

/// How one placeholder's value is drawn.
#[derive(Clone, Debug)]
pub enum Value {
    Zipf(Zipf),
    /// `1..=n`.
    Uniform(u64),
    Choice(Vec<String>),
    /// 16 hexadecimal digits that no other request of the run has.
    WriteId,
    /// `from` and the request's number in a run of `slots` shards or virtual users.
    Sequence {
        from: u64,
        slots: u64,
    },
    /// A random UUID, version 4.
    Uuid,
    /// The request's cell in a column of a feeder.
    Column {
        feeder: usize,
        column: usize,
    },
}

/// The purposes of a request's draws below this are not placeholders.
const PURPOSE_FIRST: u64 = 16;
const PURPOSE_REQUEST: u64 = 0;
const PURPOSE_REGION: u64 = 1;
/// One for each feeder, beyond all placeholders: the columns of a request have one row.
const PURPOSE_FEEDER: u64 = 1 << 32;

/// All value generators of a load, by index.
#[derive(Clone, Debug, Default)]
pub struct Values {
    values: Vec<Value>,
    feeders: Vec<Feeder>,
}

impl Values {
    pub fn new(values: Vec<Value>) -> Values {
        Values { values, feeders: Vec::new() }
    }

    /// Values of which some are columns of these tables. `None` when a column is not there.
    pub fn with_feeders(values: Vec<Value>, feeders: Vec<Feeder>) -> Option<Values> {
        let is_there = |value: &Value| match value {
            Value::Column { feeder, column } => {
                feeders.get(*feeder).is_some_and(|f| *column < f.n_columns())
            }
            _ => true,
        };
        values.iter().all(is_there).then_some(Values { values, feeders })
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
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

    /// The number behind a value: a rank, a number, a position in the choice, an id, a row.
    #[inline]
    pub fn number(&self, index: usize, draws: &Draws) -> u64 {
        let word = || draws.word(PURPOSE_FIRST + index as u64);
        match &self.values[index] {
            Value::Zipf(zipf) => zipf.rank(word()),
            Value::Uniform(n) => 1 + scaled(word(), (*n).max(1)),
            Value::Choice(of) => scaled(word(), of.len().max(1) as u64),
            Value::WriteId => draws.id(),
            Value::Sequence { from, slots } => from.wrapping_add(draws.number(*slots)),
            Value::Uuid => word(),
            Value::Column { feeder, .. } => {
                self.feeders[*feeder].row(draws, draws.word(PURPOSE_FEEDER + *feeder as u64))
            }
        }
    }

    /// Writes the value's text; the same value of the same request is the same text everywhere.
    #[inline]
    pub fn render(&self, index: usize, draws: &Draws, out: &mut Vec<u8>) {
        let number = self.number(index, draws);
        match &self.values[index] {
            Value::Zipf(_) | Value::Uniform(_) | Value::Sequence { .. } => {
                text::decimal(number, out);
            }
            Value::WriteId => text::hexadecimal(number, out),
            Value::Uuid => text::uuid(number, mix(number), out),
            Value::Choice(_) | Value::Column { .. } => {
                out.extend_from_slice(self.free_text(index, number));
            }
        }
    }

    /// Writes the value's text as part of a path: what may not stand there is percent-encoded.
    #[inline]
    pub fn render_in_path(&self, index: usize, draws: &Draws, out: &mut Vec<u8>) {
        match self.is_free_text(index) {
            true => text::path(self.free_text(index, self.number(index, draws)), out),
            false => self.render(index, draws, out),
        }
    }

    fn free_text(&self, index: usize, number: u64) -> &[u8] {
        match &self.values[index] {
            Value::Choice(of) => of.get(number as usize).map_or(b"", |s| s.as_bytes()),
            Value::Column { feeder, column } => self.feeders[*feeder].cell(number, *column),
            _ => b"",
        }
    }

    /// Whether it is a text that a person wrote, and not a number or an id.
    pub fn is_free_text(&self, index: usize) -> bool {
        matches!(self.values[index], Value::Choice(_) | Value::Column { .. })
    }

    /// The first of its texts, counted from 1, that fails a test; numbers and ids never do.
    pub fn first_unfit(&self, index: usize, is_fit: impl Fn(&[u8]) -> bool) -> Option<usize> {
        match &self.values[index] {
            Value::Choice(of) => of.iter().position(|text| !is_fit(text.as_bytes())),
            Value::Column { feeder, column } => {
                self.feeders[*feeder].column(*column).position(|text| !is_fit(text))
            }
            _ => None,
        }
        .map(|at| at + 1)
    }

    /// Whether it names one of n things: what a checked request reads or writes.
    pub fn is_key(&self, index: usize) -> bool {
        matches!(self.values[index], Value::Zipf(_) | Value::Uniform(_))
    }

    pub fn is_write_id(&self, index: usize) -> bool {
        matches!(self.values[index], Value::WriteId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::RowOrder;
    use std::collections::BTreeSet;

    fn text(values: &Values, index: usize, draws: &Draws) -> String {
        let mut out = Vec::new();
        values.render(index, draws, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_render_as_the_plan_says() {
        let values = Values::new(vec![
            Value::Uniform(9),
            Value::Choice(vec!["a".into(), "b".into()]),
            Value::WriteId,
        ]);
        let mut seen = BTreeSet::new();
        for i in 0..500 {
            let draws = Draws::new(1, 0, i);
            let number: u64 = text(&values, 0, &draws).parse().unwrap();
            assert!((1..=9).contains(&number));
            seen.insert(number);
            assert!(["a", "b"].contains(&text(&values, 1, &draws).as_str()));
            assert_eq!(text(&values, 2, &draws).len(), 16);
            assert_eq!(u64::from_str_radix(&text(&values, 2, &draws), 16).unwrap(), draws.id());
        }
        assert_eq!(seen.len(), 9);
    }

    #[test]
    fn a_sequence_has_each_number_once() {
        let values = Values::new(vec![Value::Sequence { from: 100, slots: 4 }, Value::Uuid]);
        let (mut numbers, mut uuids) = (BTreeSet::new(), BTreeSet::new());
        for shard in 0..4 {
            for index in 0..50 {
                let draws = Draws::new(1, shard, index);
                numbers.insert(text(&values, 0, &draws).parse::<u64>().unwrap());
                uuids.insert(text(&values, 1, &draws));
            }
        }
        assert!(numbers.into_iter().eq(100..300));
        assert_eq!(uuids.len(), 200);
    }

    #[test]
    fn the_columns_of_a_request_are_from_one_row() {
        let rows: Vec<Vec<String>> =
            (0..7).map(|i| vec![format!("u{i}"), format!("p{i}")]).collect();
        let of = |order| {
            let column = |column| Value::Column { feeder: 0, column };
            let feeder = Feeder::new(&rows, 2, order).unwrap();
            Values::with_feeders(vec![column(0), column(1)], vec![feeder]).unwrap()
        };
        let (random, in_turn) = (of(RowOrder::Random), of(RowOrder::Sequential { slots: 1 }));
        let mut seen = BTreeSet::new();
        for i in 0..200 {
            let draws = Draws::new(1, 0, i);
            assert_eq!(text(&random, 0, &draws)[1..], text(&random, 1, &draws)[1..]);
            seen.insert(text(&random, 0, &draws));
            assert_eq!(text(&in_turn, 0, &draws), format!("u{}", i % 7));
            assert_eq!(text(&in_turn, 1, &draws), format!("p{}", i % 7));
        }
        assert_eq!(seen.len(), 7);
        let column = Value::Column { feeder: 0, column: 2 };
        let feeder = Feeder::new(&rows, 2, RowOrder::Random).unwrap();
        assert!(Values::with_feeders(vec![column], vec![feeder]).is_none());
    }
}
