//! A scanner for heads of the common shape, faster than a parser because it need not tell what is
//! wrong nor keep what nobody asks for. On anything unusual it gives up, and the parser decides.
//!
//! What it accepts, httparse accepts with the same result; the tests and the fuzzer hold them
//! against each other. Eight bytes are looked at at once, in a register ("SWAR").

use super::head::is_interim;
use super::{FIELDS_MAX, Fields, ParsedHead};

const VERSION: &[u8] = b"HTTP/1.1 ";
/// Where the reason phrase begins.
const REASON_AT: usize = 13;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Reads the head at the start of `bytes`. `None` says nothing about it: it may be incomplete,
/// wrong, or right but unusual (an interim response, HTTP/1.0, tabs, bare line feeds, folded
/// lines), which is for [`super::parse_head`] to find out.
#[inline]
pub fn scan_head(bytes: &[u8]) -> Option<ParsedHead> {
    let status = scan_status(bytes)?;
    let mut at = scan_line(bytes, REASON_AT)? + 2;
    let mut fields = Fields::default();
    for _ in 0..=FIELDS_MAX {
        if bytes.get(at..at + 2)? == b"\r\n" {
            return Some(ParsedHead { used: at + 2, status, is_http_10: false, fields });
        }
        let colon = scan_name(bytes, at)?;
        let end = scan_line(bytes, colon + 1)?;
        if is_of_interest(colon - at) {
            fields.add(&bytes[at..colon], bytes[colon + 1..end].trim_ascii()).ok()?;
        }
        at = end + 2;
    }
    None
}

#[inline]
fn scan_status(bytes: &[u8]) -> Option<u16> {
    let line = bytes.get(..REASON_AT)?;
    if &line[..VERSION.len()] != VERSION || line[REASON_AT - 1] != b' ' {
        return None;
    }
    let digit = |at: usize| {
        let value = line[at].wrapping_sub(b'0');
        (value < 10).then_some(u16::from(value))
    };
    let status = digit(9)? * 100 + digit(10)? * 10 + digit(11)?;
    (!is_interim(status)).then_some(status)
}

/// The lengths of the names that [`Fields::add`] knows.
#[inline]
fn is_of_interest(length: usize) -> bool {
    const LENGTHS: u32 = 1 << 9 | 1 << 10 | 1 << 14 | 1 << 17;
    length < 32 && LENGTHS & (1 << length) != 0
}

/// Where the field name that begins at `at` ends with a colon.
#[inline]
fn scan_name(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    while let Some(eight) = bytes.get(end..end + 8) {
        let others =
            unlike_names(u64::from_le_bytes(eight.try_into().expect("it has eight bytes")));
        if others != 0 {
            end += others.trailing_zeros() as usize / 8;
            break;
        }
        end += 8;
    }
    if bytes.get(end)? != &b':' {
        end += bytes[end..].iter().position(|byte| !IS_NAME[usize::from(*byte)])?;
    }
    (end > at && bytes[end] == b':').then_some(end)
}

/// The high bits of the bytes that are neither letters nor hyphens, of which nearly all names are
/// made. No sum carries into the next byte.
#[inline]
fn unlike_names(word: u64) -> u64 {
    let folded = (word | (ONES * 0x20)) & !HIGHS;
    let from_a = folded + ONES * u64::from(0x80 - b'a');
    let past_z = folded + ONES * u64::from(0x80 - b'z' - 1);
    let hyphen = word ^ (ONES * u64::from(b'-'));
    let is_hyphen = !(((hyphen & !HIGHS) + !HIGHS) | hyphen);
    !((from_a & !past_z & !word) | is_hyphen) & HIGHS
}

/// Where the line that goes on at `at` ends with CR LF; every byte before is a visible one, a
/// space, or above ASCII.
#[inline]
fn scan_line(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(eight) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(eight.try_into().expect("it has eight bytes"));
        let found = controls(word);
        if found != 0 {
            return ends_line(bytes, at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    ends_line(bytes, at + rest.iter().position(|byte| *byte < b' ' || *byte == 0x7f)?)
}

#[inline]
fn ends_line(bytes: &[u8], at: usize) -> Option<usize> {
    (bytes.get(at..at + 2)? == b"\r\n").then_some(at)
}

/// The high bit of the first byte that is a control character. A borrow may set bits above it,
/// never below.
#[inline]
fn controls(word: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let delete = word ^ (ONES * 0x7f);
    (below_space | (delete.wrapping_sub(ONES) & !delete)) & HIGHS
}

/// The bytes of a token (RFC 9110, 5.6.2).
static IS_NAME: [bool; 256] = {
    let mut map = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        map[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        map[others[at] as usize] = true;
        at += 1;
    }
    map
};

#[cfg(test)]
mod tests {
    use super::super::parse_head;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_common_shape_is_scanned() {
        let check = |text: &str| {
            let seen = scan_head(text.as_bytes());
            assert_eq!(
                Some(seen.expect("scanned")),
                parse_head(text.as_bytes()).unwrap(),
                "{text}"
            );
        };
        check("HTTP/1.1 200 OK\r\n\r\n");
        check("HTTP/1.1 200 \r\nContent-Length:5\r\n\r\nhello");
        check("HTTP/1.1 599 Some Reason\r\ncontent-length:  2, 2  \r\nX-Version: 42\r\n\r\nok");
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nConnection: Close\r\n\r\n");
        check("HTTP/1.1 101 Now\r\nUpgrade: x\r\nSet-Cookie: \u{e4}\u{f6}=\"%\"\r\nEmpty:\r\n\r\n");
        check(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX)));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_parser() {
        let check = |text: &str| assert_eq!(scan_head(text.as_bytes()), None, "{text}");
        check("");
        check("HTTP/1.0 200 OK\r\n\r\n");
        check("HTTP/1.1 100 Continue\r\n\r\n");
        check("HTTP/1.1 200\r\n\r\n");
        check("HTTP/1.1 200 OK\n\n");
        check("HTTP/1.1 200 OK\r\nA: b\r\n");
        check("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n");
        check("HTTP/1.1 200 OK\r\nA: b\tc\r\n\r\n");
        check("HTTP/1.1 200 OK\r\nA : b\r\n\r\n");
        check("HTTP/1.1 200 OK\r\n: b\r\n\r\n");
        check("HTTP/1.1 200 OK\r\nA\r\n\r\n");
        check("HTTP/1.1 200 OK\r\nA: \u{7f}\r\n\r\n");
        check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
        check(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX + 1)));
    }

    #[test]
    fn names_and_lines_know_every_byte() {
        for byte in 0..=255u8 {
            for at in 0..16 {
                let mut text =
                    b"HTTP/1.1 200 OK\r\nName-of-16-byte: value-of-16-byte\r\n\r\n".to_vec();
                for start in [17, 34] {
                    let before = std::mem::replace(&mut text[start + at], byte);
                    same(&text).unwrap();
                    text[start + at] = before;
                }
            }
        }
    }

    /// What the scanner accepts, the parser accepts with the same result.
    fn same(text: &[u8]) -> Result<(), TestCaseError> {
        if let Some(scanned) = scan_head(text) {
            prop_assert_eq!(parse_head(text), Ok(Some(scanned)));
        }
        Ok(())
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        let name = prop_oneof![
            Just("Content-Length".to_string()),
            Just("connection".to_string()),
            Just("TRANSFER-ENCODING".to_string()),
            Just("X-Version".to_string()),
            "[!#-'*+.^_`|~a-zA-Z0-9-]{1,20}",
        ];
        let value = prop_oneof![
            "[0-9]{1,21}",
            "[0-9]{1,3}( ?, ?[0-9]{1,3})?",
            "(close|Keep-Alive|chunked|gzip)( ?, ?(close|keep-alive|chunked))?",
            "[ -~]{0,40}",
        ];
        let bytes = prop::collection::vec(any::<u8>(), 0..12);
        (name, " {0,3}", value, " {0,2}", bytes, 0..8u8).prop_map(|(n, s, v, t, bytes, kind)| {
            let mut line = format!("{n}:{s}{v}{t}").into_bytes();
            if kind == 0 {
                line.extend(bytes);
            }
            line.extend_from_slice(b"\r\n");
            line
        })
    }

    /// What happens to a head on its way.
    fn mutate(text: &mut Vec<u8>, kind: u8, at: prop::sample::Index, byte: u8) {
        let at = at.index(text.len());
        match kind {
            0 => text[at] = byte,
            1 => text.insert(at, byte),
            2 => drop(text.remove(at)),
            3 => text.truncate(at.max(1)),
            4 => text.insert(at, *b"\r\n\t :\0\x7f,".get(byte as usize % 8).unwrap_or(&b' ')),
            _ => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_scanner_accepts_what_the_parser_does_and_sees_the_same(
            start in prop_oneof![
                9 => "HTTP/1.1 [1-9][0-9]{2} [ -~]{0,20}\r\n",
                1 => "HTTP/1.[01] [0-9]{3} ?\r?\n",
            ],
            lines in prop::collection::vec(line(), 0..8),
            mutations in prop::collection::vec(
                (0..12u8, any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut text = start.into_bytes();
            text.extend(lines.concat());
            text.extend_from_slice(b"\r\n0123");
            for (kind, at, byte) in mutations {
                mutate(&mut text, kind, at, byte);
            }
            same(&text)?;
        }

        #[test]
        fn an_unspoilt_head_is_scanned(
            status in 200..600u16,
            lines in prop::collection::vec("[a-zA-Z]{1,8}: [ -~]{0,40}\r\n", 0..12),
        ) {
            let text = format!("HTTP/1.1 {status} Fine\r\n{}\r\n", lines.concat());
            prop_assert!(scan_head(text.as_bytes()).is_some());
            same(text.as_bytes())?;
        }
    }
}
