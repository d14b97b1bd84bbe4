//! A response head of any shape that httparse accepts.

use super::{FIELDS_MAX, Fields, ResponseError};
use std::mem::MaybeUninit;

/// A complete head, interim ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedHead {
    /// Its length in bytes, the empty line included.
    pub used: usize,
    pub status: u16,
    pub is_http_10: bool,
    pub fields: Fields,
}

/// Parses the head at the start of `bytes`; `None` while it is incomplete.
///
/// # Errors
/// When it is not a head, or its content length is not one number.
pub fn parse_head(bytes: &[u8]) -> Result<Option<ParsedHead>, ResponseError> {
    let mut headers = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, bytes, &mut headers)
        .map_err(ResponseError::Head)?;
    let httparse::Status::Complete(used) = parsed else { return Ok(None) };
    let status = response.code.expect("a complete head has a status");
    let mut fields = Fields::default();
    // What an interim response says about lengths is not about the answer.
    if !is_interim(status) {
        for header in &*response.headers {
            fields.add(header.name.as_bytes(), header.value)?;
        }
    }
    Ok(Some(ParsedHead { used, status, is_http_10: response.version == Some(0), fields }))
}

/// Whether another head follows this one. After 101 none does: the protocol has changed.
pub(super) fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}
