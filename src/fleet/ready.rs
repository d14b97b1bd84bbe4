//! Readiness by protocol: a node is ready when it said so *and* answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub const ATTEMPT_BOUND: Duration = Duration::from_millis(500);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(5);

/// Polls until `holds`, or the bound is over.
pub fn within(bound: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + bound;
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(BETWEEN_ATTEMPTS);
    }
    true
}

/// Whether `GET /healthz` is answered with 200 right now.
pub fn is_healthy(admin: SocketAddr) -> bool {
    status_of(admin, "/healthz").is_ok_and(|status| status == 200)
}

/// Whether somebody accepts connections here.
pub fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, ATTEMPT_BOUND).is_ok()
}

/// The status with which `GET path` is answered.
pub fn status_of(address: SocketAddr, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, ATTEMPT_BOUND)?;
    stream.set_read_timeout(Some(ATTEMPT_BOUND))?;
    stream.set_write_timeout(Some(ATTEMPT_BOUND))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut status = String::new();
    std::io::Read::take(BufReader::new(stream), 256).read_line(&mut status)?;
    let code = status.split(' ').nth(1).and_then(|code| code.trim().parse().ok());
    code.ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_200_is_healthy() {
        let check = |answer: &'static str, expected| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let mut request = [0u8; 1024];
                let _ = std::io::Read::read(&mut stream, &mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(is_healthy(address), expected, "{answer}");
            server.join().unwrap();
        };
        check("HTTP/1.1 200 OK\r\n\r\n", true);
        check("HTTP/1.1 503 Service Unavailable\r\n\r\n", false);
        check("nonsense", false);
    }
}
