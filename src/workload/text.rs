//! Values as text, without the machinery of formatting and without allocating.

/// A number in decimal.
#[inline]
pub(super) fn decimal(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// 16 hexadecimal digits.
#[inline]
pub(super) fn hexadecimal(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&hexadecimal_digits(number));
}

fn hexadecimal_digits(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (i, digit) in text.iter_mut().enumerate() {
        *digit = DIGITS[(number >> (60 - 4 * i)) as usize & 15];
    }
    text
}

/// A UUID of version 4 (RFC 9562, 5.4) from 128 random bits, six of which it overwrites.
#[inline]
pub(super) fn uuid(high: u64, low: u64, out: &mut Vec<u8>) {
    let high = hexadecimal_digits(high & !0xf000 | 0x4000);
    let low = hexadecimal_digits(low & (u64::MAX >> 2) | 1 << 63);
    for (part, dash) in [
        (&high[..8], true),
        (&high[8..12], true),
        (&high[12..], true),
        (&low[..4], true),
        (&low[4..], false),
    ] {
        out.extend_from_slice(part);
        if dash {
            out.push(b'-');
        }
    }
}

/// Whether a byte may stand in a request's path and query as it is (RFC 3986, 3.3 and 3.4, and the
/// percent sign, as what is encoded already stays so).
#[inline]
pub fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#')
}

/// A text as part of a path: what may not stand there is percent-encoded.
#[inline]
pub(super) fn path(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        if is_path_byte(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[
                b'%',
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_format_writes_them() {
        for n in [0, 9, 10, 99, 100, 4_294_967_296, u64::MAX, 1_234_567_890_123_456_789] {
            assert_eq!(text(|out| decimal(n, out)), n.to_string());
            assert_eq!(text(|out| hexadecimal(n, out)), format!("{n:016x}"));
        }
    }

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        assert_eq!(text(|out| uuid(0, 0, out)), "00000000-0000-4000-8000-000000000000");
        assert_eq!(
            text(|out| uuid(u64::MAX, u64::MAX, out)),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
    }

    #[test]
    fn a_path_holds_nothing_that_ends_it() {
        let seen = text(|out| path("a b\r\nX: y#ü/?q=1&r=%20".as_bytes(), out));
        assert_eq!(seen, "a%20b%0D%0AX:%20y%23%C3%BC/?q=1&r=%20");
    }
}
