//! A delay line: what was read and has not come out yet, in order, with bounded content.

use crate::base::Nanos;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// Bytes under way in one direction of one connection; beyond it the sender is not read until
/// some have come out, as with a full TCP window. At 50 ms one way this allows 20 MB/s.
const BYTES_MAX: usize = 1024 * 1024;
/// Pieces under way, so that single bytes cannot make the line long.
const PIECES_MAX: usize = 4096;

#[derive(Default)]
pub struct Line {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

pub struct Piece {
    /// When it was read; the distance and what faults add count from here.
    pub read: Nanos,
    pub what: What,
}

#[derive(Debug, PartialEq)]
pub enum What {
    Bytes(Bytes),
    /// No more bytes come.
    End,
    /// The connection is no more.
    Break,
}

impl Line {
    pub fn push(&mut self, read: Nanos, what: What) {
        if let What::Bytes(bytes) = &what {
            self.bytes += bytes.len();
        }
        self.pieces.push_back(Piece { read, what });
    }

    pub fn head(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    /// So many bytes of the head have come out; whether that was all of it.
    pub fn advance(&mut self, n: usize) -> bool {
        let Some(Piece { what: What::Bytes(bytes), .. }) = self.pieces.front_mut() else {
            return false;
        };
        bytes.advance(n);
        self.bytes -= n;
        let is_all = bytes.is_empty();
        if is_all {
            self.pieces.pop_front();
        }
        is_all
    }

    /// The end or break at the head has come out.
    pub fn pop(&mut self) {
        self.pieces.pop_front();
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn has_room(&self) -> bool {
        self.bytes < BYTES_MAX && self.pieces.len() < PIECES_MAX
    }
}
