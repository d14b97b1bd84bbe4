//! The framing of a chunked body (RFC 9112, 7.1), byte by byte outside of the data.

use super::{HEAD_MAX, ResponseError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Reading the size: value and digits so far.
    Size(u64, u8),
    /// Skipping an extension; bytes so far.
    Extension(u64, u32),
    SizeEnd(u64),
    Data(u64),
    DataReturn,
    DataEnd,
    /// In the trailer section; whether the line has been empty so far, and bytes in all.
    Trailer(bool, u32),
    /// After a carriage return in the trailer section.
    TrailerEnd(bool, u32),
}

impl Chunk {
    /// The state after one byte outside a chunk's data; `None` when the body is complete.
    pub(super) fn step(self, byte: u8) -> Result<Option<Chunk>, ResponseError> {
        let wrong = Err(ResponseError::Chunk);
        Ok(Some(match (self, byte) {
            (Chunk::Size(_, 0), b'\r' | b'\n' | b';' | b' ' | b'\t') => return wrong,
            (Chunk::Size(size, _) | Chunk::Extension(size, _), b'\r') => Chunk::SizeEnd(size),
            (Chunk::Size(size, _), b';' | b' ' | b'\t') => Chunk::Extension(size, 0),
            (Chunk::Size(size, digits), _) => match (byte as char).to_digit(16) {
                Some(digit) if digits < 16 => Chunk::Size(size << 4 | u64::from(digit), digits + 1),
                _ => return wrong,
            },
            (Chunk::Extension(_, length), _) if length as usize >= HEAD_MAX => return wrong,
            (Chunk::Extension(_, _), b'\n') => return wrong,
            (Chunk::Extension(size, length), _) => Chunk::Extension(size, length + 1),
            (Chunk::SizeEnd(0), b'\n') => Chunk::Trailer(true, 0),
            (Chunk::SizeEnd(size), b'\n') => Chunk::Data(size),
            (Chunk::DataReturn, b'\r') => Chunk::DataEnd,
            (Chunk::DataEnd, b'\n') => Chunk::Size(0, 0),
            (Chunk::Trailer(_, length), _) if length as usize >= HEAD_MAX => return wrong,
            (Chunk::Trailer(is_empty, length), b'\r') => Chunk::TrailerEnd(is_empty, length + 1),
            (Chunk::Trailer(_, _), b'\n') => return wrong,
            (Chunk::Trailer(_, length), _) => Chunk::Trailer(false, length + 1),
            (Chunk::TrailerEnd(true, _), b'\n') => return Ok(None),
            (Chunk::TrailerEnd(false, length), b'\n') => Chunk::Trailer(true, length + 1),
            _ => return wrong,
        }))
    }
}
