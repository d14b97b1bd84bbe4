//! Floor 1: bytes ↔ messages, without sockets.

pub mod resp;
