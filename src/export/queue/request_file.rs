//! The file of one queued request. The file name identifies the request, and the content proves that it is undamaged.
//!
//! The header repeats the values of the file name, and a CRC-32 covers everything after it. This detects damage to any bit, a file that
//! is too short or too long, and a file under the name of another request.

use super::request_list::RequestKey;
use bytes::Bytes;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The suffix of the file names.
pub(crate) const SUFFIX: &str = ".request";
/// The first bytes of each file, with the version of the format.
const MAGIC: [u8; 16] = *b"postmeter-spool1";
/// The length of the checksum, which follows the magic bytes.
const CHECKSUM_LEN: usize = 4;
/// The length of the header: magic bytes, checksum, collection, part, points, time and length of the request.
pub(crate) const HEADER_LEN: usize = MAGIC.len() + CHECKSUM_LEN + 8 + 4 + 8 + 8 + 8;
/// The unit in which file systems allocate space.
const BLOCK_BYTES: usize = 4096;

/// A request to be written to the spool.
#[derive(Clone, Debug)]
pub(crate) struct SpoolEntry {
    pub key: RequestKey,
    pub points: u64,
    pub queued_at: SystemTime,
    pub bytes: Bytes,
}

/// The values in the name of a request file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestFileName {
    pub key: RequestKey,
    pub points: u64,
    /// Unix time in nanoseconds.
    queued_at_nanos: u64,
}

/// Returns the disk usage of a request of this length: whole blocks, including the header.
pub(crate) const fn disk_bytes(request_len: usize) -> usize {
    request_len.saturating_add(HEADER_LEN).div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}

impl RequestFileName {
    pub(crate) fn of(entry: &SpoolEntry) -> Self {
        let nanos = entry.queued_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self { key: entry.key, points: entry.points, queued_at_nanos: u64::try_from(nanos).unwrap_or(u64::MAX) }
    }

    /// Parses a file name. Returns `None` if Postmeter writes no such name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.strip_suffix(SUFFIX)?.split('-');
        let mut number = || numbers.next()?.parse::<u64>().ok();
        let (collection, part) = (number()?, u32::try_from(number()?).ok()?);
        let parsed = Self { key: RequestKey { collection, part }, queued_at_nanos: number()?, points: number()? };
        // Rejects other spellings of the same values, such as a sign or additional zeros: each request has one name.
        (parsed.to_string() == name).then_some(parsed)
    }

    pub(crate) fn queued_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.queued_at_nanos)
    }

    /// Returns the header of the file for this request, including the checksum.
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

    /// Returns the request in the content of a file with this name.
    ///
    /// # Errors
    /// Describes the damage if the content is not a request file with the values of this name.
    pub(crate) fn request(&self, content: Bytes) -> Result<Bytes, &'static str> {
        let Some((header, request)) = content.split_at_checked(HEADER_LEN) else { return Err("the file is too short") };
        if header.starts_with(&MAGIC) && self.header(request) == header {
            return Ok(content.slice(HEADER_LEN..));
        }
        Err(if header.starts_with(&MAGIC) { "the checksum does not match" } else { "the file format is unknown" })
    }
}

impl std::fmt::Display for RequestFileName {
    /// Writes the file name. The names sort in the order in which the requests were queued.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key: RequestKey { collection, part }, queued_at_nanos, points } = self;
        write!(f, "{collection:020}-{part:010}-{queued_at_nanos}-{points}{SUFFIX}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn example() -> (RequestFileName, Vec<u8>) {
        let key = RequestKey { collection: 1_764_000_000_000_000_000, part: 7 };
        let entry =
            SpoolEntry { key, points: 3, queued_at: UNIX_EPOCH + Duration::from_nanos(1_764_000_000_000_000_123), bytes: "request".into() };
        let name = RequestFileName::of(&entry);
        let content = [&name.header(&entry.bytes), &entry.bytes[..]].concat();
        (name, content)
    }

    #[test]
    fn a_written_request_can_be_read() {
        let (name, content) = example();
        assert_eq!(name.to_string(), "01764000000000000000-0000000007-1764000000000000123-3.request");
        assert_eq!(RequestFileName::parse(&name.to_string()), Some(name));
        assert_eq!(name.request(content.into()).unwrap(), "request");
    }

    #[test]
    fn a_flipped_bit_and_a_wrong_length_are_detected() {
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
    fn a_file_under_the_name_of_another_request_is_detected() {
        let (name, content) = example();
        for other in [
            RequestFileName { key: RequestKey { part: 8, ..name.key }, ..name },
            RequestFileName { points: 4, ..name },
            RequestFileName { queued_at_nanos: 1, ..name },
        ] {
            assert!(other.request(content.clone().into()).is_err(), "{other}");
        }
    }

    #[test]
    fn names_that_postmeter_does_not_write_are_rejected() {
        for name in ["", ".request", "1-2-3-4.request", "writing", "01764000000000000000-0000000007-+5-3.request", "a-b-c-d.request"] {
            assert_eq!(RequestFileName::parse(name), None, "{name}");
        }
        let (name, _) = example();
        assert_eq!(RequestFileName::parse(&format!("{name}.damaged")), None);
        assert_eq!(RequestFileName::parse(&name.to_string().replace("-3.request", "-3-9.request")), None);
    }

    #[test]
    fn disk_usage_is_counted_in_whole_blocks() {
        for (len, bytes) in [(0, 4096), (4096 - HEADER_LEN, 4096), (4097 - HEADER_LEN, 8192)] {
            assert_eq!(disk_bytes(len), bytes, "{len}");
        }
    }
}
