//! The read positions of a target's files, as they are saved.

use super::identity::{CHECKSUM_BYTES, FileIdentity};
use crate::net::{FileFault, seal, unseal};

/// The kind of the file, and the version of its format.
const KIND: &str = "positions";
const VERSION: u32 = 1;

/// The positions in all files of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Positions {
    /// The directory or the log.
    pub path: Vec<u8>,
    /// Files with a name up to this one were read, unless they have a position.
    pub read_until: Vec<u8>,
    pub files: Vec<FilePosition>,
    /// The knowledge of a log's reader about the lines before the position.
    pub log_state: Vec<u8>,
}

/// The position in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FilePosition {
    pub name: Vec<u8>,
    pub identity: FileIdentity,
    /// The position from which the file is read again.
    pub offset: u64,
    /// The number of lines after that position that were read.
    pub lines: u64,
    /// The number of bytes that were read.
    pub read_bytes: u64,
    /// The bytes at the position are damaged: the next frame is searched for.
    pub is_damaged: bool,
    /// The file ends in the middle of a frame or line, which was reported.
    pub is_end_reported: bool,
    /// The time of its last change when it was read, in nanoseconds since 1970. `0`: it is not known, or the file has this time.
    pub changed_nanos: u64,
}

/// The bits of the two conditions, as they are saved.
const DAMAGED: u64 = 1;
const END_REPORTED: u64 = 2;

impl Positions {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, &self.path);
        put_bytes(&mut out, &self.read_until);
        put(&mut out, self.files.len() as u64);
        for file in &self.files {
            put_bytes(&mut out, &file.name);
            let FileIdentity { device, inode, head_bytes, checksum } = &file.identity;
            let conditions = (u64::from(file.is_damaged) * DAMAGED) | (u64::from(file.is_end_reported) * END_REPORTED);
            for number in [*device, *inode, *head_bytes as u64, file.offset, file.lines, file.read_bytes, conditions, file.changed_nanos] {
                put(&mut out, number);
            }
            out.extend_from_slice(checksum);
        }
        put_bytes(&mut out, &self.log_state);
        seal(KIND, VERSION, &out)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, FileFault> {
        let mut rest = unseal(KIND, VERSION, bytes)?;
        Self::decode_content(&mut rest).filter(|_| rest.is_empty()).ok_or(FileFault::Damaged)
    }

    fn decode_content(rest: &mut &[u8]) -> Option<Self> {
        let (path, read_until) = (take_bytes(rest)?, take_bytes(rest)?);
        let count = take(rest)?;
        let mut files = Vec::new();
        for _ in 0..count {
            let name = take_bytes(rest)?;
            let mut number = || take(rest);
            let (device, inode, head_bytes) = (number()?, number()?, usize::try_from(number()?).ok()?);
            let (offset, lines, read_bytes, conditions, changed_nanos) = (number()?, number()?, number()?, number()?, number()?);
            let (checksum, after) = rest.split_first_chunk::<CHECKSUM_BYTES>()?;
            *rest = after;
            let identity = FileIdentity { device, inode, head_bytes, checksum: *checksum };
            let (is_damaged, is_end_reported) = (conditions & DAMAGED != 0, conditions & END_REPORTED != 0);
            files.push(FilePosition { name, identity, offset, lines, read_bytes, is_damaged, is_end_reported, changed_nanos });
        }
        Some(Self { path, read_until, files, log_state: take_bytes(rest)? })
    }
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

fn take_bytes(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(take(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes.to_vec())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn positions() -> Positions {
        let identity = FileIdentity { device: 1, inode: u64::MAX, head_bytes: 1024, checksum: [7; CHECKSUM_BYTES] };
        let file = |name: &[u8]| FilePosition {
            name: name.to_vec(),
            identity: identity.clone(),
            offset: 10,
            lines: 3,
            read_bytes: 90,
            is_damaged: name.is_empty(),
            is_end_reported: !name.is_empty(),
            changed_nanos: 5,
        };
        Positions {
            path: b"/var/log/kumomta".to_vec(),
            read_until: b"20261128".to_vec(),
            files: vec![file(b"20261129-101112.5"), file(b"")],
            log_state: b"{}".to_vec(),
        }
    }

    #[test]
    fn positions_survive_and_damage_is_noticed() {
        let encoded = positions().encode();
        assert_eq!(Positions::decode(&encoded), Ok(positions()));
        assert_eq!(Positions::decode(&Positions::default().encode()), Ok(Positions::default()));
        for at in 0..encoded.len() {
            assert_eq!(Positions::decode(&encoded[..at]), Err(FileFault::Damaged));
            let mut changed = encoded.clone();
            changed[at] ^= 1;
            assert_eq!(Positions::decode(&changed), Err(FileFault::Damaged));
        }
    }

    #[test]
    fn another_version_is_not_damage() {
        assert_eq!(Positions::decode(&seal(KIND, 7, b"something")), Err(FileFault::Version(7)));
    }
}
