//! One blocking HTTP exchange with a process of this run, with a deadline: for counters, rules and
//! reading back. The load goes through the generator, never through here.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Largest answer that is read.
const ANSWER_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("{address}: {cause}")]
    Io { address: SocketAddr, cause: std::io::Error },
    #[error("{address}{path}: the answer is not HTTP")]
    NotHttp { address: SocketAddr, path: String },
    #[error("{address}{path}: status {status}: {said}")]
    Status { address: SocketAddr, path: String, status: u16, said: String },
}

/// The body of a 200 answer.
///
/// # Errors
/// Anything else.
pub fn get(address: SocketAddr, path: &str, deadline: Duration) -> Result<Vec<u8>, HttpError> {
    ask(address, "GET", path, b"", deadline)
}

/// As [`get`], with a method and a body.
///
/// # Errors
/// Anything but a 200 within the deadline; what the other side said is in the error.
pub fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &[u8],
    deadline: Duration,
) -> Result<Vec<u8>, HttpError> {
    let io = |cause| HttpError::Io { address, cause };
    let end = Instant::now() + deadline;
    let mut stream = TcpStream::connect_timeout(&address, deadline).map_err(io)?;
    stream.set_nodelay(true).map_err(io)?;
    stream.set_write_timeout(Some(deadline)).map_err(io)?;
    let length = match body.is_empty() {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{length}Connection: close\r\n\r\n")
            .into_bytes();
    request.extend_from_slice(body);
    stream.write_all(&request).map_err(io)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io(std::io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left)).map_err(io)?;
        match stream.read(&mut buffer).map_err(io)? {
            0 => break,
            n => answer.extend_from_slice(&buffer[..n]),
        }
        if answer.len() as u64 > ANSWER_MAX {
            return Err(io(std::io::Error::other("the answer is too large")));
        }
    }
    split(&answer, address, path)
}

/// The other side closes after its answer, so the body is what follows the head (nodes of the stack
/// send `Content-Length`, never chunks).
fn split(answer: &[u8], address: SocketAddr, path: &str) -> Result<Vec<u8>, HttpError> {
    let path = || path.to_string();
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(answer) {
        Ok(httparse::Status::Complete(head)) => match response.code {
            Some(200) => Ok(answer[head..].to_vec()),
            status => {
                let said = String::from_utf8_lossy(&answer[head..]).trim().to_string();
                let status = status.unwrap_or(0);
                Err(HttpError::Status { address, path: path(), status, said })
            }
        },
        _ => Err(HttpError::NotHttp { address, path: path() }),
    }
}
