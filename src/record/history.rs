//! `history.bin`: operations on checked keys, fixed size, little-endian, after a short header.

use super::{Operation, OperationKind};
use crate::base::Nanos;

const MAGIC: &[u8; 8] = b"bruntops";
/// The first version had no sessions, where the second has them: in the upper half of the first word.
const VERSIONS: [u32; 2] = [1, 2];
const HEADER_BYTES: usize = 16;
const OPERATION_BYTES: usize = 48;

pub(super) fn write_header(out: &mut Vec<u8>) {
    out.extend_from_slice(&header(VERSIONS[1]));
}

fn header(version: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    header[12..].copy_from_slice(&(OPERATION_BYTES as u32).to_le_bytes());
    header
}

pub(super) fn write(out: &mut Vec<u8>, operation: &Operation) {
    let Operation { kind, session, key, id, version, started, ended } = *operation;
    let kind: u64 = match kind {
        OperationKind::Read => 0,
        OperationKind::Acknowledged => 1,
        OperationKind::Indeterminate => 2,
        OperationKind::Failed => 3,
        OperationKind::ReadBack => 4,
        OperationKind::ReadBackDone => 5,
    };
    let kind_and_session = kind | u64::from(session) << 32;
    for word in [kind_and_session, key, id, version, started.0, ended.0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

/// All whole operations; a last one that was cut off is left out.
///
/// # Errors
/// What is wrong with the bytes.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Operation>, String> {
    if bytes.len() < HEADER_BYTES {
        return Ok(Vec::new());
    }
    let is_known = VERSIONS.iter().any(|version| bytes[..HEADER_BYTES] == header(*version));
    if !is_known {
        return Err("its header is not that of a history of version 1 or 2".into());
    }
    bytes[HEADER_BYTES..].chunks_exact(OPERATION_BYTES).map(operation).collect()
}

fn operation(bytes: &[u8]) -> Result<Operation, String> {
    let word = |i: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[8 * i..8 * i + 8]);
        u64::from_le_bytes(word)
    };
    let (kind, session) = (word(0) & u64::from(u32::MAX), (word(0) >> 32) as u32);
    let kind = match kind {
        0 => OperationKind::Read,
        1 => OperationKind::Acknowledged,
        2 => OperationKind::Indeterminate,
        3 => OperationKind::Failed,
        4 => OperationKind::ReadBack,
        5 => OperationKind::ReadBackDone,
        other => return Err(format!("it holds an operation of the unknown kind {other}")),
    };
    let (started, ended) = (Nanos(word(4)), Nanos(word(5)));
    Ok(Operation { kind, session, key: word(1), id: word(2), version: word(3), started, ended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_read_back_up_to_where_the_file_ends() {
        let kinds = [
            OperationKind::Read,
            OperationKind::Acknowledged,
            OperationKind::Indeterminate,
            OperationKind::Failed,
            OperationKind::ReadBack,
            OperationKind::ReadBackDone,
        ];
        let all = kinds.map(|kind| Operation {
            kind,
            session: u32::MAX,
            key: 1,
            id: u64::MAX,
            version: 3,
            started: Nanos(4),
            ended: Nanos(5),
        });
        let mut out = Vec::new();
        write_header(&mut out);
        all.iter().for_each(|operation| write(&mut out, operation));
        assert_eq!(read(&out).unwrap(), all);
        assert_eq!(read(&out[..out.len() - 1]).unwrap(), all[..5]);
        assert_eq!(read(&out[..7]).unwrap(), []);
        out[8] = 3;
        assert!(read(&out).unwrap_err().contains("version 1 or 2"));
        out[0] = b'x';
        assert!(read(&out).is_err());
    }

    #[test]
    fn a_history_without_sessions_is_read() {
        let mut out = header(1).to_vec();
        for word in [1_u64, 7, 0xda, 3, 4, 5] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        let seen = read(&out).unwrap();
        assert_eq!((seen[0].kind, seen[0].session), (OperationKind::Acknowledged, 0));
        assert_eq!((seen[0].key, seen[0].ended), (7, Nanos(5)));
    }
}
