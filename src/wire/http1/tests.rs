//! Whole responses, in one piece and in many.

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
