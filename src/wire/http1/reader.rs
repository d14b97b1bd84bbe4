//! Reads one response: its head, then its body, wherever the pieces are cut.

use super::chunked::Chunk;
use super::head::is_interim;
use super::{HEAD_MAX, INTERIM_MAX, ParsedHead, ResponseError, parse_head, scan_head};

/// A buffer for split heads that is larger than this is not kept for the next response.
const HELD_KEPT: usize = 4 * 1024;

/// How far a piece has brought the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The piece is used up; more must come.
    More,
    /// The response is complete after so many bytes of this piece.
    Done { used: usize },
}

/// What the head said, once it is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Whether the connection may carry another request after this response.
    pub keep_alive: bool,
    /// The number in `X-Version`.
    pub version: Option<u64>,
}

/// The state of one response being read.
#[derive(Debug, Default)]
pub struct ResponseReader {
    stage: Stage,
    head: Head,
    is_head_request: bool,
    interim: u8,
    /// The bytes of a split head so far. Rarely used, hence boxed: a connection is small without.
    #[allow(clippy::box_collection, reason = "eight bytes a connection instead of 24")]
    held: Option<Box<Vec<u8>>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Head,
    Length(u64),
    UntilClose,
    Chunked(Chunk),
    Done,
}

impl ResponseReader {
    /// Begins the next response; `is_head_request` because such an answer has no body.
    #[inline]
    pub fn start(&mut self, is_head_request: bool) {
        self.stage = Stage::Head;
        self.head = Head::default();
        self.is_head_request = is_head_request;
        self.interim = 0;
        if let Some(held) = &mut self.held {
            held.clear();
            if held.capacity() > HELD_KEPT {
                self.held = None;
            }
        }
    }

    /// Status, reuse and version; meaningful once the head has been read.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Takes a piece and drops the body.
    ///
    /// # Errors
    /// When it is not HTTP, or beyond a bound; the connection is then unusable.
    #[inline]
    pub fn feed(&mut self, piece: &[u8]) -> Result<Progress, ResponseError> {
        self.feed_with(piece, |_| {})
    }

    /// Takes a piece and hands every part of the body to `body`.
    ///
    /// # Errors
    /// As [`ResponseReader::feed`].
    pub fn feed_with(
        &mut self,
        piece: &[u8],
        mut body: impl FnMut(&[u8]),
    ) -> Result<Progress, ResponseError> {
        let mut at = 0;
        while self.stage == Stage::Head {
            match self.feed_head(&piece[at..])? {
                Some(used) => at += used,
                None => return Ok(Progress::More),
            }
        }
        at += self.feed_body(&piece[at..], &mut body)?;
        Ok(if self.stage == Stage::Done { Progress::Done { used: at } } else { Progress::More })
    }

    /// The connection has ended: complete only if the end of the connection ends the body.
    ///
    /// # Errors
    /// [`ResponseError::ClosedEarly`].
    pub fn finish(&mut self) -> Result<(), ResponseError> {
        match self.stage {
            Stage::UntilClose | Stage::Done => {
                self.stage = Stage::Done;
                Ok(())
            }
            _ => Err(ResponseError::ClosedEarly),
        }
    }

    /// The bytes of `piece` that the head took, once it is complete.
    #[inline]
    fn feed_head(&mut self, piece: &[u8]) -> Result<Option<usize>, ResponseError> {
        if self.held.as_ref().is_none_or(|held| held.is_empty()) {
            if let Some(head) = read_head(piece)? {
                return self.take(&head).map(Some);
            }
            self.hold(piece)?;
            return Ok(None);
        }
        self.feed_held(piece)
    }

    /// As [`ResponseReader::feed_head`], when the head began in an earlier piece.
    fn feed_held(&mut self, piece: &[u8]) -> Result<Option<usize>, ResponseError> {
        let held = self.held.get_or_insert_default();
        let before = held.len();
        held.extend_from_slice(&piece[..piece.len().min(HEAD_MAX - before)]);
        let is_full = held.len() >= HEAD_MAX;
        match read_head(held)? {
            Some(head) => {
                held.clear();
                Ok(Some(self.take(&head)? - before))
            }
            None if is_full => Err(ResponseError::HeadTooLarge),
            None => Ok(None),
        }
    }

    fn hold(&mut self, piece: &[u8]) -> Result<(), ResponseError> {
        if piece.len() >= HEAD_MAX {
            return Err(ResponseError::HeadTooLarge);
        }
        self.held.get_or_insert_default().extend_from_slice(piece);
        Ok(())
    }

    /// Goes on after a complete head: to the body, or to the next head after an interim one.
    /// Returns the head's length.
    #[inline]
    fn take(&mut self, head: &ParsedHead) -> Result<usize, ResponseError> {
        if is_interim(head.status) {
            self.interim += 1;
            let is_bounded = self.interim <= INTERIM_MAX;
            return if is_bounded { Ok(head.used) } else { Err(ResponseError::Interim) };
        }
        self.stage = head.fields.stage(head.status, self.is_head_request);
        let keep_alive = head.fields.keeps_alive(head.is_http_10)
            && self.stage != Stage::UntilClose
            && head.status != 101;
        self.head = Head { status: head.status, keep_alive, version: head.fields.version };
        Ok(head.used)
    }

    /// The bytes of `piece` that belong to the body.
    fn feed_body(
        &mut self,
        piece: &[u8],
        body: &mut impl FnMut(&[u8]),
    ) -> Result<usize, ResponseError> {
        match self.stage {
            Stage::Head | Stage::Done => Ok(0),
            Stage::UntilClose => {
                body(piece);
                Ok(piece.len())
            }
            Stage::Length(left) => {
                let used = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                body(&piece[..used]);
                let left = left - used as u64;
                self.stage = if left == 0 { Stage::Done } else { Stage::Length(left) };
                Ok(used)
            }
            Stage::Chunked(chunk) => self.feed_chunked(chunk, piece, body),
        }
    }

    fn feed_chunked(
        &mut self,
        mut chunk: Chunk,
        piece: &[u8],
        body: &mut impl FnMut(&[u8]),
    ) -> Result<usize, ResponseError> {
        let mut at = 0;
        while at < piece.len() {
            if let Chunk::Data(left) = chunk {
                let room = piece.len() - at;
                let used = room.min(usize::try_from(left).unwrap_or(usize::MAX));
                body(&piece[at..at + used]);
                at += used;
                let left = left - used as u64;
                chunk = if left == 0 { Chunk::DataReturn } else { Chunk::Data(left) };
                continue;
            }
            let byte = piece[at];
            at += 1;
            match chunk.step(byte)? {
                Some(next) => chunk = next,
                None => {
                    self.stage = Stage::Done;
                    return Ok(at);
                }
            }
        }
        self.stage = Stage::Chunked(chunk);
        Ok(at)
    }
}

/// The head at the start of `bytes`, by the scanner where it can; `None` while it is incomplete.
#[inline]
fn read_head(bytes: &[u8]) -> Result<Option<ParsedHead>, ResponseError> {
    match scan_head(bytes) {
        Some(head) => Ok(Some(head)),
        None => parse_head(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_head_in_small_pieces_is_bounded_and_its_buffer_is_not_kept() {
        let mut reader = ResponseReader::default();
        reader.start(false);
        reader.feed(b"HTTP/1.1 200 OK\r\na: ").unwrap();
        let piece = [b'b'; 1000];
        let refused = (0..100).find_map(|_| reader.feed(&piece).err());
        assert_eq!(refused, Some(ResponseError::HeadTooLarge));
        assert!(reader.held.as_ref().unwrap().capacity() <= 2 * HEAD_MAX);
        reader.start(false);
        assert!(reader.held.is_none());
    }

    #[test]
    fn the_state_of_a_response_is_small() {
        assert!(size_of::<ResponseReader>() <= 64, "{}", size_of::<ResponseReader>());
    }
}
