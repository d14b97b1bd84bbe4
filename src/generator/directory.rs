//! Asks directories which edges are healthy, on a thread of its own, as a visitor's resolver would:
//! an answer is kept for its time to live, and a silent directory leaves the last answer in force.

use super::routes::{DirectoryRoute, Routes};
use crate::base::{Nanos, clock};
use crate::wire::http1::{Progress, ResponseReader};
use serde::Deserialize;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// A directory that has not answered by then is silent.
const DEADLINE: Duration = Duration::from_millis(500);
/// How soon a silent directory is asked again.
const RETRY: Nanos = Nanos::from_millis(250);
/// Bounds on the time to live that a directory may state.
const TTL_MIN: Nanos = Nanos::from_millis(50);
const TTL_MAX: Nanos = Nanos::from_secs(60);
/// Largest answer that is read.
const ANSWER_MAX: usize = 256 * 1024;

#[derive(Debug, Deserialize)]
struct Answer {
    edges: Vec<Edge>,
    ttl_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Edge {
    name: String,
}

/// Keeps the routes current until the other end of `ended` is dropped.
pub(super) fn follow(routes: &Arc<Routes>, ended: &Receiver<()>) {
    let mut ask_at = vec![Nanos::ZERO; routes.directories.len()];
    loop {
        for (directory, at) in routes.directories.iter().zip(&mut ask_at) {
            if *at <= clock::now() {
                let wait = refresh(routes, directory).unwrap_or(RETRY);
                *at = clock::now() + wait;
            }
        }
        let Some(next) = ask_at.iter().min() else { return };
        let pause = next.saturating_sub(clock::now()).duration();
        match ended.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Asks once; how long the answer holds, or `None` when there is none.
fn refresh(routes: &Routes, directory: &DirectoryRoute) -> Option<Nanos> {
    let body = ask(directory).ok()?;
    let answer: Answer = serde_json::from_slice(&body).ok()?;
    // Nearest first is the plan's order; the directory says who is healthy.
    let healthy = |name: &str| answer.edges.iter().any(|edge| edge.name == name);
    if let Some((_, address)) = directory.edges.iter().find(|(name, _)| healthy(name)) {
        routes.set(directory.slot, *address);
    }
    Some(Nanos(answer.ttl_ms.saturating_mul(1_000_000)).clamp(TTL_MIN, TTL_MAX))
}

fn ask(directory: &DirectoryRoute) -> std::io::Result<Vec<u8>> {
    let deadline = clock::now() + Nanos::from(DEADLINE);
    let mut stream = TcpStream::connect_timeout(&directory.ask, DEADLINE)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(DEADLINE))?;
    write!(
        stream,
        "GET /edges?region={} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        directory.region, directory.ask
    )?;
    let mut reader = ResponseReader::default();
    reader.start(false);
    let mut body = Vec::new();
    let mut piece = [0; 4096];
    while body.len() < ANSWER_MAX {
        let left = deadline.saturating_sub(clock::now()).duration();
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let n = stream.read(&mut piece)?;
        let is_done = if n == 0 {
            reader.finish().map_err(std::io::Error::other)?;
            true
        } else {
            let progress = reader.feed_with(&piece[..n], |part| body.extend_from_slice(part));
            matches!(progress.map_err(std::io::Error::other)?, Progress::Done { .. })
        };
        if is_done {
            return match reader.head().status {
                200 => Ok(body),
                other => Err(std::io::Error::other(format!("status {other}"))),
            };
        }
    }
    Err(std::io::ErrorKind::FileTooLarge.into())
}
