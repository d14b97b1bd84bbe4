//! Reads one HTTP/1.x response (RFC 9112) from pieces of any size.
//!
//! It tells where the response ends, what its status is, whether the connection may be used again,
//! and nothing else: the body is handed on piece by piece and not kept. Heads are parsed by
//! httparse in place; only a head that is split over pieces is copied, into a buffer of bounded size.

use std::mem::MaybeUninit;

/// Largest head, interim responses and a chunk's extensions included.
pub const HEAD_MAX: usize = 64 * 1024;
/// Most header fields in a head.
const FIELDS_MAX: usize = 128;
/// Interim (1xx) responses before the final one.
const INTERIM_MAX: u32 = 16;

/// How far a piece has brought the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The piece is used up; more must come.
    More,
    /// The response is complete after so many bytes of this piece.
    Done { used: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    #[error("not an HTTP/1 response head: {0}")]
    Head(httparse::Error),
    #[error("the head is larger than {HEAD_MAX} bytes")]
    HeadTooLarge,
    #[error("the content length is not one number")]
    ContentLength,
    #[error("the chunked body is malformed")]
    Chunk,
    #[error("more than {INTERIM_MAX} interim responses")]
    Interim,
    #[error("the connection ended inside the response")]
    ClosedEarly,
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
    interim: u32,
    /// Bytes of a head, or of a chunk's size line, that have not been complete yet.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    Length(u64),
    UntilClose,
    Chunked(Chunk),
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
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

impl ResponseReader {
    /// Begins the next response; `is_head_request` because such an answer has no body.
    pub fn start(&mut self, is_head_request: bool) {
        self.stage = Stage::Head;
        self.head = Head::default();
        self.is_head_request = is_head_request;
        self.interim = 0;
        self.held.clear();
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
    fn feed_head(&mut self, piece: &[u8]) -> Result<Option<usize>, ResponseError> {
        if self.held.is_empty() {
            if let Some(used) = self.parse_head(piece)? {
                return Ok(Some(used));
            }
            self.hold(piece)?;
            return Ok(None);
        }
        let before = self.held.len();
        let room = HEAD_MAX - before;
        self.held.extend_from_slice(&piece[..piece.len().min(room)]);
        let held = std::mem::take(&mut self.held);
        let parsed = self.parse_head(&held);
        let is_full = held.len() >= HEAD_MAX;
        self.held = held;
        match parsed? {
            Some(used) => {
                self.held.clear();
                Ok(Some(used - before))
            }
            None if is_full => Err(ResponseError::HeadTooLarge),
            None => Ok(None),
        }
    }

    fn hold(&mut self, piece: &[u8]) -> Result<(), ResponseError> {
        if piece.len() >= HEAD_MAX {
            return Err(ResponseError::HeadTooLarge);
        }
        self.held.extend_from_slice(piece);
        Ok(())
    }

    /// Parses a head at the start of `bytes`: its length, or `None` while it is incomplete.
    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, ResponseError> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
            .map_err(ResponseError::Head)?;
        let httparse::Status::Complete(used) = parsed else { return Ok(None) };
        let status = response.code.expect("a complete head has a status");
        if (100..200).contains(&status) && status != 101 {
            self.interim += 1;
            return if self.interim > INTERIM_MAX {
                Err(ResponseError::Interim)
            } else {
                Ok(Some(used))
            };
        }
        let fields = Fields::read(response.headers)?;
        let http_10 = response.version == Some(0);
        self.stage = fields.stage(status, self.is_head_request);
        let keep_alive = fields.keeps_alive(http_10) && self.stage != Stage::UntilClose;
        self.head =
            Head { status, keep_alive: keep_alive && status != 101, version: fields.version };
        Ok(Some(used))
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

impl Chunk {
    /// The state after one byte outside a chunk's data; `None` when the body is complete.
    fn step(self, byte: u8) -> Result<Option<Chunk>, ResponseError> {
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

/// The header fields that decide where a response ends.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    has_transfer_encoding: bool,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
    version: Option<u64>,
}

impl Fields {
    fn read(headers: &[httparse::Header<'_>]) -> Result<Fields, ResponseError> {
        let mut fields = Fields::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            match header.name.len() {
                9 if is("x-version") => fields.version = number(header.value),
                10 if is("connection") => fields.connection(header.value),
                14 if is("content-length") => fields.content_length(header.value)?,
                17 if is("transfer-encoding") => {
                    fields.has_transfer_encoding = true;
                    fields.is_chunked = tokens(header.value)
                        .last()
                        .is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    fn connection(&mut self, value: &[u8]) {
        for token in tokens(value) {
            self.says_close |= token.eq_ignore_ascii_case(b"close");
            self.says_keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Repeated equal lengths are one (RFC 9110, 8.6); different ones are an error.
    fn content_length(&mut self, value: &[u8]) -> Result<(), ResponseError> {
        for token in tokens(value) {
            let length = number(token).ok_or(ResponseError::ContentLength)?;
            if self.length.is_some_and(|known| known != length) {
                return Err(ResponseError::ContentLength);
            }
            self.length = Some(length);
        }
        if self.length.is_none() { Err(ResponseError::ContentLength) } else { Ok(()) }
    }

    /// RFC 9112, 6.3.
    fn stage(&self, status: u16, is_head_request: bool) -> Stage {
        if is_head_request || matches!(status, 101 | 204 | 304) {
            return Stage::Done;
        }
        match self.length {
            _ if self.is_chunked => Stage::Chunked(Chunk::Size(0, 0)),
            _ if self.has_transfer_encoding => Stage::UntilClose,
            Some(0) => Stage::Done,
            Some(length) => Stage::Length(length),
            None => Stage::UntilClose,
        }
    }

    fn keeps_alive(&self, http_10: bool) -> bool {
        !self.says_close && (!http_10 || self.says_keep_alive)
    }
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Decimal digits only, without overflow.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Status, keep-alive, body and the bytes used; `None` while incomplete.
    type Seen = Result<Option<(Head, Vec<u8>, usize)>, ResponseError>;

    fn read_in_pieces(pieces: &[&[u8]], is_head: bool) -> Seen {
        let mut reader = ResponseReader::default();
        reader.start(is_head);
        let mut body = Vec::new();
        let mut before = 0;
        for piece in pieces {
            match reader.feed_with(piece, |part| body.extend_from_slice(part))? {
                Progress::Done { used } => {
                    return Ok(Some((reader.head(), body, before + used)));
                }
                Progress::More => before += piece.len(),
            }
        }
        Ok(match reader.finish() {
            Ok(()) => Some((reader.head(), body, before)),
            Err(_) => None,
        })
    }

    fn read(text: &str) -> Seen {
        read_in_pieces(&[text.as_bytes()], false)
    }

    fn body_of(text: &str) -> (u16, String, bool) {
        let (head, body, used) = read(text).unwrap().expect("complete");
        assert_eq!(used, text.len());
        (head.status, String::from_utf8(body).unwrap(), head.keep_alive)
    }

    #[test]
    fn the_end_of_a_response_is_found() {
        let check = |text: &str, status, body: &str, keep_alive| {
            assert_eq!(body_of(text), (status, body.into(), keep_alive), "{text}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true);
        check("HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok", 200, "ok", true);
        check("HTTP/1.1 204 \r\n\r\n", 204, "", true);
        check("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, "", true);
        check("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", false);
        check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", false);
        let kept = "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx";
        check(kept, 200, "x", true);
        let closed = "HTTP/1.1 500 No\r\nConnection: foo, close\r\nContent-Length: 0\r\n\r\n";
        check(closed, 500, "", false);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n\
                       5;x=\"y\"\r\nhello\r\nB \r\n over there\r\n0\r\nTrailer: 1\r\n\r\n";
        check(chunked, 200, "hello over there", true);
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
                       HTTP/1.1 201 Created\r\nX-Version: 42\r\nContent-Length: 0\r\n\r\n";
        check(interim, 201, "", true);
        assert_eq!(read(interim).unwrap().unwrap().0.version, Some(42));
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let (head, body, used) = read_in_pieces(&[text], true).unwrap().unwrap();
        assert_eq!((head.status, body.len(), used), (200, 0, text.len()));
        assert!(head.keep_alive);
    }

    #[test]
    fn what_is_not_a_response_is_an_error() {
        let head = "HTTP/1.1 200 OK\r\n";
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        let check = |text: String| assert!(read(&text).is_err(), "{text}");
        check("SSH-2.0-OpenSSH_9\r\n".into());
        check(format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"));
        check(format!("{head}Content-Length: -1\r\n\r\nx"));
        check(format!("{head}Content-Length: 99999999999999999999\r\n\r\nx"));
        check(format!("{chunked}\r\n"));
        check(format!("{chunked}zz\r\n"));
        check(format!("{chunked}11111111111111111\r\n"));
        check(format!("{chunked}1\r\nab"));
        check(format!("{head}{}\r\n", "a: b\r\n".repeat(FIELDS_MAX + 1)));
        check("HTTP/1.1 100 Continue\r\n\r\n".repeat(INTERIM_MAX as usize + 1));
        check(format!("{head}a: {}", "b".repeat(HEAD_MAX)));
    }

    #[test]
    fn a_long_head_in_small_pieces_is_bounded() {
        let mut reader = ResponseReader::default();
        reader.start(false);
        reader.feed(b"HTTP/1.1 200 OK\r\na: ").unwrap();
        let piece = [b'b'; 1000];
        let refused = (0..100).find_map(|_| reader.feed(&piece).err());
        assert_eq!(refused, Some(ResponseError::HeadTooLarge));
        assert!(reader.held.capacity() <= 2 * HEAD_MAX);
    }

    #[test]
    fn bytes_after_the_response_are_not_used() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1";
        let (.., used) = read(text).unwrap().unwrap();
        assert_eq!(&text[used..], "HTTP/1.1");
    }

    fn response() -> impl Strategy<Value = Vec<u8>> {
        let body = prop::collection::vec(any::<u8>(), 0..200);
        let chunks = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..5);
        let head = "[a-zA-Z]{1,12}: [ -~]{0,30}\r\n";
        (prop::collection::vec(head, 0..6), 200u16..600, body, chunks, 0..3u8).prop_map(
            |(fields, status, body, chunks, kind)| {
                let mut text = format!("HTTP/1.1 {status} X\r\n{}", fields.concat()).into_bytes();
                match kind {
                    0 => {
                        let length = format!("Content-Length: {}\r\n\r\n", body.len());
                        text.extend_from_slice(length.as_bytes());
                        text.extend_from_slice(&body);
                    }
                    1 => {
                        text.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                        for chunk in &chunks {
                            text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                            text.extend_from_slice(chunk);
                            text.extend_from_slice(b"\r\n");
                        }
                        text.extend_from_slice(b"0\r\n\r\n");
                    }
                    _ => {
                        text.extend_from_slice(b"\r\n");
                        text.extend_from_slice(&body);
                    }
                }
                text
            },
        )
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_read_as_the_whole(
            text in response(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            let whole = read_in_pieces(&[&text], false);
            prop_assert_eq!(read_in_pieces(&pieces, false), whole.clone());

            let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let mut oracle = httparse::Response::new(&mut fields);
            if let Ok(httparse::Status::Complete(head)) = oracle.parse(&text) {
                let seen = whole.unwrap().expect("the whole response is complete");
                prop_assert_eq!(Some(seen.0.status), oracle.code);
                let is = |name: &str| {
                    oracle.headers.iter().any(|h| h.name.eq_ignore_ascii_case(name))
                };
                if matches!(seen.0.status, 204 | 304) {
                    prop_assert!(seen.1.is_empty());
                } else if !is("transfer-encoding") {
                    prop_assert_eq!(&seen.1[..], &text[head..]);
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut reader = ResponseReader::default();
            reader.start(false);
            let _ = reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let _ = reader.feed(&text);
            reader.start(false);
            let _ = reader.feed(&text);
        }
    }
}
