//! A table of texts that requests take their values from, one row a request.

use super::Draws;
use super::draws::scaled;

/// Which row a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// Any, equally likely.
    Random,
    /// Row n modulo their number for the run's n-th request, of `slots` shards or virtual users.
    Sequential { slots: u64 },
}

/// The table, its cells one after the other in one text.
#[derive(Clone, Debug)]
pub struct Feeder {
    text: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<u32>,
    n_columns: usize,
    n_rows: u64,
    order: RowOrder,
}

impl Feeder {
    /// `None` when a row has not `n_columns` cells, there is none, or the text is beyond 4 GiB.
    pub fn new(rows: &[Vec<String>], n_columns: usize, order: RowOrder) -> Option<Feeder> {
        if rows.is_empty() || n_columns == 0 || rows.iter().any(|row| row.len() != n_columns) {
            return None;
        }
        let (mut text, mut ends) = (Vec::new(), Vec::with_capacity(rows.len() * n_columns));
        for cell in rows.iter().flatten() {
            text.extend_from_slice(cell.as_bytes());
            ends.push(u32::try_from(text.len()).ok()?);
        }
        Some(Feeder { text, ends, n_columns, n_rows: rows.len() as u64, order })
    }

    /// The row of a request; `word` is its chance for this feeder.
    #[inline]
    pub(super) fn row(&self, draws: &Draws, word: u64) -> u64 {
        match self.order {
            RowOrder::Random => scaled(word, self.n_rows),
            RowOrder::Sequential { slots } => draws.number(slots) % self.n_rows,
        }
    }

    #[inline]
    pub(super) fn cell(&self, row: u64, column: usize) -> &[u8] {
        let cell = row as usize * self.n_columns + column;
        let start = if cell == 0 { 0 } else { self.ends[cell - 1] as usize };
        &self.text[start..self.ends[cell] as usize]
    }

    /// The cells of a column, from the first row on.
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = &[u8]> {
        (0..self.n_rows).map(move |row| self.cell(row, column))
    }

    pub fn n_columns(&self) -> usize {
        self.n_columns
    }
}
