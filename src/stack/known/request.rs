//! The little of HTTP/1.1 that the server reads: where a request ends and which number it bears.

use memchr::memmem;

/// A head and a body together may be so long.
pub(super) const REQUEST_MAX: usize = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// A request of the load, with its number if the path names one: `/0123456789abcdef`.
    Load(Option<u64>),
    Counters,
    Arrivals,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    More,
    Whole { page: Page, used: usize },
    Refused,
}

pub(super) fn read(bytes: &[u8]) -> Read {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > REQUEST_MAX { Read::Refused } else { Read::More };
    };
    let head = &bytes[..end];
    let mut words = head.split(|b| matches!(b, b' ' | b'\r'));
    let (Some(_method), Some(path)) = (words.next(), words.next()) else { return Read::Refused };
    if !words.next().is_some_and(|version| version.starts_with(b"HTTP/1.")) {
        return Read::Refused;
    }
    let used = end + 4 + content_length(head);
    match used {
        _ if used > REQUEST_MAX => Read::Refused,
        _ if used > bytes.len() => Read::More,
        _ => Read::Whole { page: page(path), used },
    }
}

fn page(path: &[u8]) -> Page {
    match path {
        b"/counters" => Page::Counters,
        b"/arrivals" => Page::Arrivals,
        _ => {
            let text = std::str::from_utf8(path).unwrap_or("");
            let digits = text.get(1..17).unwrap_or("");
            Page::Load(u64::from_str_radix(digits, 16).ok())
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let name = b"content-length:";
    let lines = head.split(|b| *b == b'\n');
    let value = lines
        .filter_map(|line| line.split_at_checked(name.len()))
        .find(|(start, _)| start.eq_ignore_ascii_case(name))
        .and_then(|(_, value)| std::str::from_utf8(value).ok()?.trim().parse().ok());
    value.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let get = b"GET /00000000000000ff HTTP/1.1\r\nHost: x\r\n\r\n";
        let whole = |page, used| Read::Whole { page, used };
        assert_eq!(read(get), whole(Page::Load(Some(255)), get.len()));
        assert_eq!(read(&get[..20]), Read::More);
        let post = b"POST / HTTP/1.1\r\nContent-LENGTH:   3\r\n\r\nabcGET";
        assert_eq!(read(post), whole(Page::Load(None), post.len() - 3));
        assert_eq!(read(&post[..post.len() - 4]), Read::More);
        assert_eq!(read(b"GET /counters HTTP/1.1\r\n\r\n"), whole(Page::Counters, 26));
        assert_eq!(read(b"nonsense\r\n\r\n"), Read::Refused);
        assert_eq!(read(&vec![b'a'; REQUEST_MAX + 1]), Read::Refused);
    }
}
