//! Reads one HTTP/1.x response (RFC 9112) from pieces of any size.
//!
//! It tells where the response ends, what its status is, whether the connection may be used again,
//! and nothing else: the body is handed on piece by piece and not kept. A head of the common shape
//! is read by a scanner, any other by httparse, both in place; only a head that is split over
//! pieces is copied, into a buffer of bounded size.

mod chunked;
mod fields;
mod head;
mod reader;
mod scan;

#[cfg(test)]
mod tests;

pub use fields::Fields;
pub use head::{ParsedHead, parse_head};
pub use reader::{Head, Progress, ResponseReader};
pub use scan::scan_head;

/// Largest head, interim responses and a chunk's extensions included.
pub const HEAD_MAX: usize = 64 * 1024;
/// Most header fields in a head.
const FIELDS_MAX: usize = 128;
/// Interim (1xx) responses before the final one.
const INTERIM_MAX: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    #[error("not an HTTP/1 response head: {0}")]
    Head(httparse::Error),
    #[error("the head is larger than {HEAD_MAX} bytes")]
    HeadTooLarge,
    #[error("the content length is not one number")]
    ContentLength,
    #[error("the chunked body is malformed")]
    Chunk,
    #[error("more than {INTERIM_MAX} interim responses")]
    Interim,
    #[error("the connection ended inside the response")]
    ClosedEarly,
}
