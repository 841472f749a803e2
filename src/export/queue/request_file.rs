//! One queued request as a file: its name identifies it, its content proves that it is undamaged.
//!
//! The header repeats what the name holds, and a CRC-32 covers everything behind it. So damage to any bit, a file that is too
//! short or too long, and a file under the name of another are all recognized.

use super::request_list::Key;
use bytes::Bytes;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The ending of the name of such a file.
pub(crate) const SUFFIX: &str = ".request";
/// What each file begins with; the version of the format is in it.
const MAGIC: [u8; 16] = *b"postmeter-spool1";
/// Bytes of the checksum, which is behind the magic.
const CHECKSUM_LEN: usize = 4;
/// Bytes before the request: magic, checksum, collection, part, points, time and length.
pub(crate) const HEADER_LEN: usize = MAGIC.len() + CHECKSUM_LEN + 8 + 4 + 8 + 8 + 8;
/// The unit in which file systems allocate room.
const BLOCK_BYTES: usize = 4096;

/// A request with what is written about it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub key: Key,
    pub points: u64,
    pub queued_at: SystemTime,
    pub bytes: Bytes,
}

/// What the name of a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestName {
    pub key: Key,
    pub points: u64,
    /// Nanoseconds since 1970.
    queued_at_nanos: u64,
}

/// How many bytes of a disk a request of this length takes: whole blocks, the header included.
pub(crate) const fn disk_bytes(request_len: usize) -> usize {
    request_len.saturating_add(HEADER_LEN).div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}

impl RequestName {
    pub(crate) fn of(row: &Row) -> Self {
        let nanos = row.queued_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self { key: row.key, points: row.points, queued_at_nanos: u64::try_from(nanos).unwrap_or(u64::MAX) }
    }

    /// Reads a file's name; `None` where Postmeter does not write such a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.strip_suffix(SUFFIX)?.split('-');
        let mut number = || numbers.next()?.parse::<u64>().ok();
        let (collection, part) = (number()?, u32::try_from(number()?).ok()?);
        let parsed = Self { key: Key { collection, part }, queued_at_nanos: number()?, points: number()? };
        // One request has one name: no signs, no leading zeros but those that sort.
        (parsed.to_string() == name).then_some(parsed)
    }

    pub(crate) fn queued_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.queued_at_nanos)
    }

    /// The header of a file with this request, checksum included.
    pub(crate) fn header(&self, request: &[u8]) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        let fields: [&[u8]; 5] = [
            &self.key.collection.to_le_bytes(),
            &self.key.part.to_le_bytes(),
            &self.points.to_le_bytes(),
            &self.queued_at_nanos.to_le_bytes(),
            &(request.len() as u64).to_le_bytes(),
        ];
        let mut at = MAGIC.len() + CHECKSUM_LEN;
        for field in fields {
            header[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&header[MAGIC.len() + CHECKSUM_LEN..]);
        checksum.update(request);
        header[..MAGIC.len()].copy_from_slice(&MAGIC);
        header[MAGIC.len()..MAGIC.len() + CHECKSUM_LEN].copy_from_slice(&checksum.finalize().to_le_bytes());
        header
    }

    /// The request in a file of this name.
    ///
    /// # Errors
    /// What is wrong with the content.
    pub(crate) fn request(&self, content: Bytes) -> Result<Bytes, &'static str> {
        let Some((header, request)) = content.split_at_checked(HEADER_LEN) else { return Err("it is too short") };
        if header.starts_with(&MAGIC) && self.header(request) == header {
            return Ok(content.slice(HEADER_LEN..));
        }
        Err(if header.starts_with(&MAGIC) { "its checksum is wrong" } else { "it is not of this version's format" })
    }
}

impl std::fmt::Display for RequestName {
    /// Names sort as the requests were queued.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key: Key { collection, part }, queued_at_nanos, points } = self;
        write!(f, "{collection:020}-{part:010}-{queued_at_nanos}-{points}{SUFFIX}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn example() -> (RequestName, Vec<u8>) {
        let key = Key { collection: 1_764_000_000_000_000_000, part: 7 };
        let row = Row { key, points: 3, queued_at: UNIX_EPOCH + Duration::from_nanos(1_764_000_000_000_000_123), bytes: "request".into() };
        let name = RequestName::of(&row);
        let content = [&name.header(&row.bytes), &row.bytes[..]].concat();
        (name, content)
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let (name, content) = example();
        assert_eq!(name.to_string(), "01764000000000000000-0000000007-1764000000000000123-3.request");
        assert_eq!(RequestName::parse(&name.to_string()), Some(name));
        assert_eq!(name.request(content.into()).unwrap(), "request");
    }

    #[test]
    fn no_flipped_bit_and_no_other_length_is_accepted() {
        let (name, content) = example();
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(name.request(flipped.into()).is_err(), "bit {bit}");
        }
        for len in 0..content.len() {
            assert!(name.request(content[..len].to_vec().into()).is_err(), "{len} bytes");
        }
        assert!(name.request([&content[..], b"x"].concat().into()).is_err());
        assert!(name.request(vec![0; content.len()].into()).is_err());
    }

    #[test]
    fn a_file_under_the_name_of_another_is_not_accepted() {
        let (name, content) = example();
        for other in [
            RequestName { key: Key { part: 8, ..name.key }, ..name },
            RequestName { points: 4, ..name },
            RequestName { queued_at_nanos: 1, ..name },
        ] {
            assert!(other.request(content.clone().into()).is_err(), "{other}");
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in ["", ".request", "1-2-3-4.request", "writing", "01764000000000000000-0000000007-+5-3.request", "a-b-c-d.request"] {
            assert_eq!(RequestName::parse(name), None, "{name}");
        }
        let (name, _) = example();
        assert_eq!(RequestName::parse(&format!("{name}.damaged")), None);
        assert_eq!(RequestName::parse(&name.to_string().replace("-3.request", "-3-9.request")), None);
    }

    #[test]
    fn a_disk_allocates_whole_blocks() {
        for (len, bytes) in [(0, 4096), (4096 - HEADER_LEN, 4096), (4097 - HEADER_LEN, 8192)] {
            assert_eq!(disk_bytes(len), bytes, "{len}");
        }
    }
}
