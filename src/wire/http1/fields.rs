//! The header fields that decide where a response ends and whether its connection stays.

use super::ResponseError;
use super::chunked::Chunk;
use super::reader::Stage;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    length: Option<u64>,
    has_transfer_encoding: bool,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
    /// The number in `X-Version`.
    pub version: Option<u64>,
}

impl Fields {
    /// Takes in one field; `value` is without the white space around it.
    #[inline]
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseError> {
        match name.len() {
            9 if name.eq_ignore_ascii_case(b"x-version") => self.version = number(value),
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.has_transfer_encoding = true;
                self.is_chunked =
                    tokens(value).last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.says_keep_alive = true;
            return;
        }
        for token in tokens(value) {
            self.says_close |= token.eq_ignore_ascii_case(b"close");
            self.says_keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Repeated equal lengths are one (RFC 9110, 8.6); different ones are an error.
    fn content_length(&mut self, value: &[u8]) -> Result<(), ResponseError> {
        if let (None, Some(length)) = (self.length, number(value)) {
            self.length = Some(length);
            return Ok(());
        }
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
    pub(super) fn stage(&self, status: u16, is_head_request: bool) -> Stage {
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

    pub(super) fn keeps_alive(&self, is_http_10: bool) -> bool {
        !self.says_close && (!is_http_10 || self.says_keep_alive)
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
