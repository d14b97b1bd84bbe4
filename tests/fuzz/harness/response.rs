//! The response reader: pieces must not matter, httparse with a plain reading of RFC 9112 must agree
//! with it, and so must the parser with the scanner wherever that does not give up.

use super::Input;
use brunt::wire::http1::{HEAD_MAX, Head, Progress, ResponseReader, parse_head, scan_head};

/// Responses read from one input, at most: a connection is used again.
const RESPONSES_MAX: usize = 4;
/// The reader's own bounds, of which its documentation speaks.
const FIELDS_MAX: usize = 128;
const INTERIM_MAX: usize = 16;

/// How one response ended.
#[derive(Debug, PartialEq)]
enum Seen {
    Whole {
        head: Head,
        body: Vec<u8>,
        used: usize,
    },
    /// Complete only because the connection ended.
    ToTheEnd {
        head: Head,
        body: Vec<u8>,
    },
    Incomplete,
    Wrong,
}

/// A flag byte, the number of cuts, the cuts, and then what the server says.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let is_head = input.byte() & 1 == 1;
    let n_cuts = input.byte() % 8;
    let mut cuts: Vec<usize> = (0..n_cuts).map(|_| usize::from(input.byte())).collect();
    let mut text = input.rest();
    for _ in 0..RESPONSES_MAX {
        if let Some(scanned) = scan_head(text) {
            assert_eq!(parse_head(text), Ok(Some(scanned)), "by the scanner: {text:?}");
        }
        let whole = read(std::iter::once(text), is_head);
        assert_eq!(whole, read(cut(text, &cuts), is_head), "cut at {cuts:?}: {text:?}");
        assert_eq!(whole, read(text.chunks(1), is_head), "byte by byte: {text:?}");
        assert_eq!(whole, expected(text, is_head), "by httparse: {text:?}");
        let Seen::Whole { used, .. } = whole else { return };
        text = &text[used..];
        cuts.rotate_left(n_cuts.min(1).into());
    }
}

/// Pieces of the lengths in `cuts`, and the rest.
fn cut<'a>(text: &'a [u8], cuts: &[usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut left = text;
    let pieces: Vec<&[u8]> = cuts
        .iter()
        .map(|length| {
            let (piece, rest) = left.split_at((*length).min(left.len()));
            left = rest;
            piece
        })
        .collect();
    pieces.into_iter().chain(std::iter::once(left))
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, is_head: bool) -> Seen {
    let mut reader = ResponseReader::default();
    reader.start(is_head);
    let (mut body, mut before) = (Vec::new(), 0);
    for piece in pieces {
        match reader.feed_with(piece, |part| body.extend_from_slice(part)) {
            Ok(Progress::Done { used }) => {
                assert!(used <= piece.len(), "used {used} of {}", piece.len());
                return Seen::Whole { head: reader.head(), body, used: before + used };
            }
            Ok(Progress::More) => before += piece.len(),
            Err(_) => return Seen::Wrong,
        }
    }
    match reader.finish() {
        Ok(()) => Seen::ToTheEnd { head: reader.head(), body },
        Err(_) => Seen::Incomplete,
    }
}

/// The same by httparse and slices, without any state between bytes.
fn expected(text: &[u8], is_head: bool) -> Seen {
    let mut at = 0;
    for _ in 0..=INTERIM_MAX {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let used = match response.parse(&text[at..]) {
            Ok(httparse::Status::Complete(used)) => used,
            Ok(httparse::Status::Partial) if text.len() - at < HEAD_MAX => return Seen::Incomplete,
            _ => return Seen::Wrong,
        };
        at += used;
        if !matches!(response.code, Some(100 | 102..=199)) {
            return framed(&response, text, at, is_head);
        }
    }
    Seen::Wrong
}

fn framed(response: &httparse::Response<'_, '_>, text: &[u8], at: usize, is_head: bool) -> Seen {
    let status = response.code.expect("a complete head has a status");
    let Ok(length) = content_length(response) else { return Seen::Wrong };
    let codings = list(response, "transfer-encoding");
    // Only the last field of this name decides, which is where a chunked coding has to be.
    let is_chunked = last(response, "transfer-encoding")
        .is_some_and(|codings| codings.last().is_some_and(|c| c == "chunked"));
    let has_no_body = is_head || matches!(status, 101 | 204 | 304);
    let options = list(response, "connection");
    let is_delimited = has_no_body
        || is_chunked
        || (length.is_some()
            && codings.is_empty()
            && last(response, "transfer-encoding").is_none());
    let stays = !options.iter().any(|o| o == "close")
        && (response.version == Some(1) || options.iter().any(|o| o == "keep-alive"));
    let head = Head {
        status,
        keep_alive: stays && is_delimited && status != 101,
        version: version(response),
    };
    let left = &text[at..];
    match (has_no_body, is_chunked, is_delimited) {
        (true, ..) => Seen::Whole { head, body: Vec::new(), used: at },
        (_, true, _) => match dechunked(left) {
            Ok(Some((body, used))) => Seen::Whole { head, body, used: at + used },
            Ok(None) => Seen::Incomplete,
            Err(()) => Seen::Wrong,
        },
        (_, _, false) => Seen::ToTheEnd { head, body: left.to_vec() },
        _ => match usize::try_from(length.unwrap_or(0)) {
            Ok(n) if n <= left.len() => {
                Seen::Whole { head, body: left[..n].to_vec(), used: at + n }
            }
            _ => Seen::Incomplete,
        },
    }
}

fn values<'r>(response: &'r httparse::Response<'_, '_>, name: &str) -> Vec<&'r [u8]> {
    let named = response.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
    named.map(|h| h.value).collect()
}

fn split(value: &[u8]) -> Vec<String> {
    let parts = value.split(|b| *b == b',').map(|p| p.trim_ascii().to_ascii_lowercase());
    parts.filter(|p| !p.is_empty()).map(|p| p.escape_ascii().to_string()).collect()
}

/// The members of a list field, all lines together, in lower case.
fn list(response: &httparse::Response<'_, '_>, name: &str) -> Vec<String> {
    values(response, name).into_iter().flat_map(split).collect()
}

fn last(response: &httparse::Response<'_, '_>, name: &str) -> Option<Vec<String>> {
    values(response, name).pop().map(split)
}

fn decimal(text: &str) -> Result<u64, ()> {
    match !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse().map_err(|_| ()),
        false => Err(()),
    }
}

/// One number, however often it is said.
fn content_length(response: &httparse::Response<'_, '_>) -> Result<Option<u64>, ()> {
    let lines = values(response, "content-length");
    let said = lines.iter().map(|v| split(v)).collect::<Vec<_>>();
    if said.first().is_some_and(Vec::is_empty) {
        return Err(());
    }
    let mut length = None;
    for text in said.iter().flatten() {
        let number = decimal(text)?;
        if length.is_some_and(|known| known != number) {
            return Err(());
        }
        length = Some(number);
    }
    Ok(length)
}

fn version(response: &httparse::Response<'_, '_>) -> Option<u64> {
    let value = values(response, "x-version").pop()?;
    std::str::from_utf8(value).ok().and_then(|text| decimal(text).ok())
}

/// RFC 9112, 7.1, line by line. `None`: more must come.
fn dechunked(text: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some((size, next)) = chunk_size(text, at)? else { return Ok(None) };
        at = next;
        if size == 0 {
            return Ok(trailers_end(text, at)?.map(|end| (body, end)));
        }
        let size = usize::try_from(size).map_err(|_| ())?;
        let Some(end) = at.checked_add(size).filter(|end| *end <= text.len()) else {
            return Ok(None);
        };
        body.extend_from_slice(&text[at..end]);
        if !b"\r\n".starts_with(&text[end..text.len().min(end + 2)]) {
            return Err(());
        }
        at = end + 2;
        if at > text.len() {
            return Ok(None);
        }
    }
}

/// The size in the line at `at`, and where the line ends.
fn chunk_size(text: &[u8], at: usize) -> Result<Option<(u64, usize)>, ()> {
    let line = &text[at..];
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits > 16 {
        return Err(());
    }
    let number = std::str::from_utf8(&line[..digits]).map_err(|_| ())?;
    let Some(after) = line.get(digits) else { return Ok(None) };
    if digits == 0 || !b"\r; \t".contains(after) {
        return Err(());
    }
    let extension = &line[digits..];
    let end = memchr::memchr2(b'\r', b'\n', extension);
    if end.unwrap_or(extension.len()) > HEAD_MAX {
        return Err(());
    }
    match end.map(|end| (extension[end], extension.get(end + 1), end)) {
        None | Some((b'\r', None, _)) => Ok(None),
        Some((b'\r', Some(b'\n'), end)) => {
            Ok(Some((u64::from_str_radix(number, 16).map_err(|_| ())?, at + digits + end + 2)))
        }
        Some(_) => Err(()),
    }
}

/// Where the trailer section ends, after its empty line.
fn trailers_end(text: &[u8], mut at: usize) -> Result<Option<usize>, ()> {
    let first = at;
    loop {
        let line = &text[at..];
        let end = memchr::memchr2(b'\r', b'\n', line);
        if at - first + end.unwrap_or(line.len()) > HEAD_MAX {
            return Err(());
        }
        let Some(end) = end else { return Ok(None) };
        match (line[end], line.get(end + 1)) {
            (b'\r', None) => return Ok(None),
            (b'\r', Some(b'\n')) if end == 0 => return Ok(Some(at + 2)),
            (b'\r', Some(b'\n')) => at += end + 2,
            _ => return Err(()),
        }
    }
}
