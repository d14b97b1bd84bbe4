//! Floor 1: bytes ↔ messages, without sockets.

pub mod http1;
pub mod resp;
