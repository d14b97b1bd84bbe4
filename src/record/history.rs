//! `history.bin`: operations on checked keys, fixed size, little-endian, after a short header.

use super::{Operation, OperationKind};
use crate::base::Nanos;

const MAGIC: &[u8; 8] = b"bruntops";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const OPERATION_BYTES: usize = 48;

pub(super) fn write_header(out: &mut Vec<u8>) {
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(OPERATION_BYTES as u32).to_le_bytes());
}

pub(super) fn write(out: &mut Vec<u8>, operation: &Operation) {
    let Operation { kind, key, id, version, started, ended } = *operation;
    let kind = match kind {
        OperationKind::Read => 0,
        OperationKind::Acknowledged => 1,
        OperationKind::Indeterminate => 2,
        OperationKind::Failed => 3,
        OperationKind::ReadBack => 4,
        OperationKind::ReadBackDone => 5,
    };
    for word in [kind, key, id, version, started.0, ended.0] {
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
    let mut expected = Vec::new();
    write_header(&mut expected);
    if bytes[..HEADER_BYTES] != expected {
        return Err("its header is not that of a history of version 1".into());
    }
    bytes[HEADER_BYTES..].chunks_exact(OPERATION_BYTES).map(operation).collect()
}

fn operation(bytes: &[u8]) -> Result<Operation, String> {
    let word = |i: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[8 * i..8 * i + 8]);
        u64::from_le_bytes(word)
    };
    let kind = match word(0) {
        0 => OperationKind::Read,
        1 => OperationKind::Acknowledged,
        2 => OperationKind::Indeterminate,
        3 => OperationKind::Failed,
        4 => OperationKind::ReadBack,
        5 => OperationKind::ReadBackDone,
        other => return Err(format!("it holds an operation of the unknown kind {other}")),
    };
    let (started, ended) = (Nanos(word(4)), Nanos(word(5)));
    Ok(Operation { kind, key: word(1), id: word(2), version: word(3), started, ended })
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
        out[0] = b'x';
        assert!(read(&out).is_err());
    }
}
