//! RESP2, the protocol of Redis: values and commands out of a growing buffer, and into bytes.
//!
//! Incremental: what is incomplete is left in the buffer. Bounded: a peer that announces more than
//! the limits is refused before anything is reserved for it.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Largest bulk string.
pub const BULK_MAX: usize = 8 * 1024 * 1024;
/// Most elements of one array, and of one command.
pub const ELEMENTS_MAX: usize = 64 * 1024;
/// Longest line: a type and a number, a simple string, an error or an inline command.
pub const LINE_MAX: usize = 64 * 1024;
/// Arrays in arrays.
const DEPTH_MAX: usize = 8;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RespError {
    #[error("a line has more than {LINE_MAX} bytes and no end")]
    LongLine,
    #[error("`{0}` is not a number of bytes or elements")]
    Number(String),
    #[error("a bulk string of {0} bytes; at most {BULK_MAX} are accepted")]
    LongBulk(i64),
    #[error("an array of {0} elements; at most {ELEMENTS_MAX} are accepted")]
    LongArray(i64),
    #[error("arrays are nested more than {DEPTH_MAX} deep")]
    Deep,
    #[error("a bulk string does not end where its length says")]
    NoEnd,
    #[error("a value cannot begin with byte {0:#04x}; expected one of + - : $ *")]
    Kind(u8),
    #[error("a command's part must be a bulk string")]
    NotBulk,
}

/// One RESP2 value. Simple strings and errors hold no line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Bytes),
    /// The nil bulk string.
    Nil,
    Array(Vec<Value>),
    NilArray,
}

impl Value {
    pub fn ok() -> Value {
        Value::Simple("OK".into())
    }

    /// Appends the value's bytes. Line ends inside simple strings and errors become spaces.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Value::Simple(text) => put_line(out, b'+', text),
            Value::Error(text) => put_line(out, b'-', text),
            Value::Integer(n) => put_number(out, b':', *n),
            Value::Bulk(bytes) => put_bulk(out, bytes),
            Value::Nil => out.put_slice(b"$-1\r\n"),
            Value::NilArray => out.put_slice(b"*-1\r\n"),
            Value::Array(items) => {
                put_number(out, b'*', items.len() as i64);
                items.iter().for_each(|item| item.encode(out));
            }
        }
    }
}

fn put_line(out: &mut BytesMut, kind: u8, text: &str) {
    out.put_u8(kind);
    out.extend(text.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
    out.put_slice(b"\r\n");
}

fn put_number(out: &mut BytesMut, kind: u8, n: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = n.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_u8(kind);
    if n < 0 {
        out.put_u8(b'-');
    }
    out.put_slice(&digits[at..]);
    out.put_slice(b"\r\n");
}

/// Appends a bulk string.
pub fn put_bulk(out: &mut BytesMut, bytes: &[u8]) {
    put_number(out, b'$', bytes.len() as i64);
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

/// Takes one value off the front of the buffer; `None` when it is not complete yet.
///
/// # Errors
/// When the bytes are no RESP2 or exceed a limit; the connection is of no further use.
pub fn take_value(buffer: &mut BytesMut) -> Result<Option<Value>, RespError> {
    let mut cursor = Cursor { bytes: buffer, at: 0 };
    let parsed = match cursor.value(0)? {
        Some(parsed) => parsed,
        None => return Ok(None),
    };
    let used = cursor.at;
    let frame = buffer.split_to(used).freeze();
    Ok(Some(parsed.cut(&frame)))
}

/// Takes one command off the front of the buffer: an array of bulk strings, or a line of words. An
/// empty command is skipped. `None` when it is not complete yet.
///
/// # Errors
/// As [`take_value`].
pub fn take_command(buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, RespError> {
    loop {
        let parts = match buffer.first() {
            None => return Ok(None),
            Some(b'*') => take_array(buffer)?,
            Some(_) => take_inline(buffer)?,
        };
        match parts {
            Some(parts) if parts.is_empty() => {}
            other => return Ok(other),
        }
    }
}

fn take_array(buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, RespError> {
    match take_value(buffer)? {
        None => Ok(None),
        Some(Value::Array(items)) => {
            let parts = items.into_iter().map(|item| match item {
                Value::Bulk(bytes) => Ok(bytes),
                _ => Err(RespError::NotBulk),
            });
            parts.collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Ok(Some(Vec::new())),
    }
}

fn take_inline(buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, RespError> {
    let Some(end) = find_line_end(buffer)? else { return Ok(None) };
    let line = buffer.split_to(end).freeze();
    buffer.advance(1);
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Ok(Some(words.map(|word| line.slice_ref(word)).collect()))
}

/// Where the first line feed is.
fn find_line_end(bytes: &[u8]) -> Result<Option<usize>, RespError> {
    match memchr::memchr(b'\n', &bytes[..bytes.len().min(LINE_MAX)]) {
        Some(end) => Ok(Some(end)),
        None if bytes.len() >= LINE_MAX => Err(RespError::LongLine),
        None => Ok(None),
    }
}

/// A value whose strings are still ranges of the buffer.
enum Parsed {
    Simple(usize, usize),
    Error(usize, usize),
    Integer(i64),
    Bulk(usize, usize),
    Nil,
    Array(Vec<Parsed>),
    NilArray,
}

impl Parsed {
    fn cut(self, frame: &Bytes) -> Value {
        let text = |from, to| String::from_utf8_lossy(&frame[from..to]).into_owned();
        match self {
            Parsed::Simple(from, to) => Value::Simple(text(from, to)),
            Parsed::Error(from, to) => Value::Error(text(from, to)),
            Parsed::Integer(n) => Value::Integer(n),
            Parsed::Bulk(from, to) => Value::Bulk(frame.slice(from..to)),
            Parsed::Nil => Value::Nil,
            Parsed::Array(items) => Value::Array(items.into_iter().map(|i| i.cut(frame)).collect()),
            Parsed::NilArray => Value::NilArray,
        }
    }
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Cursor<'_> {
    /// A line without its type byte and its end.
    fn line(&mut self) -> Result<Option<(usize, usize)>, RespError> {
        let from = self.at + 1;
        let Some(rest) = self.bytes.get(from..) else { return Ok(None) };
        let Some(end) = find_line_end(rest)? else { return Ok(None) };
        self.at = from + end + 1;
        let has_return = end > 0 && rest[end - 1] == b'\r';
        Ok(Some((from, from + end - usize::from(has_return))))
    }

    fn number(&mut self) -> Result<Option<i64>, RespError> {
        let Some((from, to)) = self.line()? else { return Ok(None) };
        let text = String::from_utf8_lossy(&self.bytes[from..to]);
        text.parse().map(Some).map_err(|_| RespError::Number(text.chars().take(40).collect()))
    }

    fn value(&mut self, depth: usize) -> Result<Option<Parsed>, RespError> {
        let Some(kind) = self.bytes.get(self.at) else { return Ok(None) };
        match kind {
            b'+' => Ok(self.line()?.map(|(from, to)| Parsed::Simple(from, to))),
            b'-' => Ok(self.line()?.map(|(from, to)| Parsed::Error(from, to))),
            b':' => Ok(self.number()?.map(Parsed::Integer)),
            b'$' => self.bulk(),
            b'*' => self.array(depth),
            other => Err(RespError::Kind(*other)),
        }
    }

    fn bulk(&mut self) -> Result<Option<Parsed>, RespError> {
        let length = match self.number()? {
            None => return Ok(None),
            Some(-1) => return Ok(Some(Parsed::Nil)),
            Some(n) if n < 0 || n as u64 > BULK_MAX as u64 => return Err(RespError::LongBulk(n)),
            Some(n) => n as usize,
        };
        let (from, to) = (self.at, self.at + length);
        match self.bytes.get(to..to + 2) {
            None => Ok(None),
            Some(b"\r\n") => {
                self.at = to + 2;
                Ok(Some(Parsed::Bulk(from, to)))
            }
            Some(_) => Err(RespError::NoEnd),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Option<Parsed>, RespError> {
        if depth >= DEPTH_MAX {
            return Err(RespError::Deep);
        }
        let count = match self.number()? {
            None => return Ok(None),
            Some(-1) => return Ok(Some(Parsed::NilArray)),
            Some(n) if n < 0 || n as u64 > ELEMENTS_MAX as u64 => {
                return Err(RespError::LongArray(n));
            }
            Some(n) => n as usize,
        };
        let mut items = Vec::new();
        for _ in 0..count {
            match self.value(depth + 1)? {
                Some(item) => items.push(item),
                None => return Ok(None),
            }
        }
        Ok(Some(Parsed::Array(items)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            "[^\r\n]{0,20}".prop_map(Value::Simple),
            "[^\r\n]{0,20}".prop_map(Value::Error),
            any::<i64>().prop_map(Value::Integer),
            proptest::collection::vec(any::<u8>(), 0..60).prop_map(|b| Value::Bulk(b.into())),
            Just(Value::Nil),
            Just(Value::NilArray),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            proptest::collection::vec(inner, 0..6).prop_map(Value::Array)
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back_in_any_pieces(
            values in proptest::collection::vec(any_value(), 1..4),
            piece in 1usize..40,
        ) {
            let mut bytes = BytesMut::new();
            values.iter().for_each(|v| v.encode(&mut bytes));
            let mut buffer = BytesMut::new();
            let mut read = Vec::new();
            for part in bytes.chunks(piece) {
                buffer.extend_from_slice(part);
                while let Some(value) = take_value(&mut buffer).unwrap() {
                    read.push(value);
                }
            }
            prop_assert_eq!(read, values);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take_command(&mut buffer) {}
        }
    }

    fn command(bytes: &[u8]) -> Result<Option<Vec<Bytes>>, RespError> {
        take_command(&mut BytesMut::from(bytes))
    }

    #[test]
    fn commands_come_as_arrays_or_as_lines() {
        let parts = [Bytes::from("GET"), Bytes::from("a")];
        assert_eq!(command(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n").unwrap().unwrap(), parts);
        assert_eq!(command(b"\r\n*0\r\nGET  a\r\n").unwrap().unwrap(), parts);
        assert_eq!(command(b"*2\r\n$3\r\nGET\r\n$1\r\na").unwrap(), None);
        assert_eq!(command(b"*1\r\n:3\r\n"), Err(RespError::NotBulk));
    }

    #[test]
    fn limits_are_checked_before_anything_is_kept() {
        assert_eq!(command(b"*99999999\r\n"), Err(RespError::LongArray(99_999_999)));
        assert_eq!(command(b"*1\r\n$99999999\r\n"), Err(RespError::LongBulk(99_999_999)));
        assert_eq!(command(b"*1\r\n$-5\r\n"), Err(RespError::LongBulk(-5)));
        assert_eq!(command(b"*1\r\n$1\r\naXX"), Err(RespError::NoEnd));
        assert_eq!(command(&b"*1\r\n".repeat(20)), Err(RespError::Deep));
        assert_eq!(command(&vec![b'x'; LINE_MAX]), Err(RespError::LongLine));
    }
}
