//! The file of one queued request. The file name identifies the request, and the content proves that it is undamaged.
//!
//! The header repeats the numbers of the file name. A CRC-32 covers everything in the file, and the owner, which only the name contains. This
//! detects damage to any bit, a file that is too short or too long, and a file under the name of another request. The checksum is that of
//! the stored, compressed bytes, so damaged bytes are not decompressed.

use super::queued_request::RequestKey;
use crate::config::{Compression, is_target_name};
use crate::export::request_body::RequestBody;
use crate::model::unix_nanos;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The suffix of the file names.
pub(crate) const SUFFIX: &str = ".request";
/// The first bytes of each file, with the version of the format.
const MAGIC: [u8; 16] = *b"postmeter-spool1";
/// The length of the checksum, which follows the magic bytes.
const CHECKSUM_LEN: usize = 4;
/// The length of collection, part, points, time and length of the request.
const FIELDS_LEN: usize = 8 + 4 + 8 + 8 + 8;
/// The length of the fields at the end of the header: the length before compression, and the compression.
const COMPRESSION_FIELDS_LEN: usize = 8 + 1;
/// The length of the header, which is that of the shortest valid file.
pub(crate) const HEADER_LEN: usize = MAGIC.len() + CHECKSUM_LEN + FIELDS_LEN + COMPRESSION_FIELDS_LEN;
/// The compressions as they are stored: their positions in this list.
const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];
/// The unit in which file systems allocate space.
const BLOCK_BYTES: usize = 4096;

/// A request to be written to the spool.
#[derive(Clone, Debug)]
pub(crate) struct SpoolEntry {
    pub key: RequestKey,
    pub points: u64,
    pub queued_at: SystemTime,
    /// The target of the records, if all of the request are of one.
    pub owner: Option<Arc<str>>,
    pub body: RequestBody,
}

/// The values in the name of a request file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestFileName {
    pub key: RequestKey,
    pub points: u64,
    /// Unix time in nanoseconds.
    queued_at_nanos: u64,
    /// A target name: up to 100 letters, digits, '.', '_' and '-'.
    pub owner: Option<Arc<str>>,
}

/// Returns the disk usage of a request of this length: whole blocks, including the header.
pub(crate) const fn disk_bytes(request_len: usize) -> usize {
    request_len.saturating_add(HEADER_LEN).div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}

impl RequestFileName {
    pub(crate) fn of(entry: &SpoolEntry) -> Self {
        Self { key: entry.key, points: entry.points, queued_at_nanos: unix_nanos(entry.queued_at), owner: entry.owner.clone() }
    }

    /// Parses a file name. Returns `None` if Postmeter writes no such name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut values = name.strip_suffix(SUFFIX)?.splitn(5, '-');
        let mut number = || values.next()?.parse::<u64>().ok();
        let (collection, part) = (number()?, u32::try_from(number()?).ok()?);
        let (queued_at_nanos, points) = (number()?, number()?);
        let owner = values.next().map(Into::into);
        if owner.as_deref().is_some_and(|owner| !is_target_name(owner)) {
            return None;
        }
        let parsed = Self { key: RequestKey { collection, part }, points, queued_at_nanos, owner };
        // Rejects other spellings of the same values, such as a sign or additional zeros: each request has one name.
        (parsed.to_string() == name).then_some(parsed)
    }

    pub(crate) fn queued_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.queued_at_nanos)
    }

    /// Returns the header of the file for this request, including the checksum.
    pub(crate) fn header(&self, body: &RequestBody) -> Vec<u8> {
        let compression = COMPRESSIONS.iter().position(|compression| *compression == body.compression).unwrap_or_default();
        let fields: [&[u8]; 7] = [
            &self.key.collection.to_le_bytes(),
            &self.key.part.to_le_bytes(),
            &self.points.to_le_bytes(),
            &self.queued_at_nanos.to_le_bytes(),
            &(body.bytes.len() as u64).to_le_bytes(),
            &(body.uncompressed_len as u64).to_le_bytes(),
            &[compression as u8],
        ];
        let fields = fields.concat();
        [&MAGIC[..], &checksum(&[&MAGIC, &fields, self.owner.as_deref().unwrap_or_default().as_bytes(), &body.bytes]), &fields].concat()
    }

    /// Returns the body in the content of a file with this name.
    ///
    /// # Errors
    /// Describes the damage if the content is not a request file with the values of this name.
    pub(crate) fn body(&self, content: Bytes) -> Result<RequestBody, &'static str> {
        if content.len() < HEADER_LEN {
            return Err("the file is too short");
        }
        if !content.starts_with(&MAGIC) {
            return Err("the file format is unknown");
        }
        let body = read_body(&content).ok_or("the header is invalid")?;
        if content.starts_with(&self.header(&body)) { Ok(body) } else { Err("the checksum does not match") }
    }
}

/// Returns the body in the content of a file, whose checksum is not verified.
fn read_body(content: &Bytes) -> Option<RequestBody> {
    let (header, bytes) = content.split_at_checked(HEADER_LEN)?;
    let (len, compression) = header.get(HEADER_LEN - COMPRESSION_FIELDS_LEN..)?.split_first_chunk()?;
    let uncompressed_len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    let compression = *COMPRESSIONS.get(usize::from(*compression.first()?))?;
    Some(RequestBody { bytes: content.slice_ref(bytes), compression, uncompressed_len })
}

fn checksum(parts: &[&[u8]]) -> [u8; CHECKSUM_LEN] {
    let mut checksum = crc32fast::Hasher::new();
    parts.iter().for_each(|part| checksum.update(part));
    checksum.finalize().to_le_bytes()
}

impl std::fmt::Display for RequestFileName {
    /// Writes the file name. The names sort in the order in which the requests were queued.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key: RequestKey { collection, part }, queued_at_nanos, points, owner } = self;
        write!(f, "{collection:020}-{part:010}-{queued_at_nanos}-{points}")?;
        if let Some(owner) = owner {
            write!(f, "-{owner}")?;
        }
        f.write_str(SUFFIX)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn example(compression: Compression) -> (RequestFileName, RequestBody, Vec<u8>) {
        let key = RequestKey { collection: 1_764_000_000_000_000_000, part: 7 };
        let body = RequestBody::compressed("request, request, request, request".into(), compression);
        let queued_at = UNIX_EPOCH + Duration::from_nanos(1_764_000_000_000_000_123);
        let name = RequestFileName::of(&SpoolEntry { key, points: 3, queued_at, owner: None, body: body.clone() });
        let content = [&name.header(&body), &body.bytes[..]].concat();
        (name, body, content)
    }

    #[test]
    fn a_written_request_can_be_read() {
        for compression in COMPRESSIONS {
            let (name, body, content) = example(compression);
            assert_eq!(content.len(), HEADER_LEN + body.bytes.len());
            assert_eq!(name.to_string(), "01764000000000000000-0000000007-1764000000000000123-3.request");
            assert_eq!(RequestFileName::parse(&name.to_string()).as_ref(), Some(&name));
            let read = name.body(content.into()).unwrap();
            assert_eq!(read, body);
            assert_eq!(read.decompressed().unwrap(), "request, request, request, request");
        }
    }

    #[test]
    fn a_name_with_an_owner_can_be_read() {
        let (name, body, _) = example(Compression::None);
        let longest = "n".repeat(100);
        for owner in ["mta1", "mta-1.example.com", "-", "--", "7", "a.request", &longest] {
            let owned = RequestFileName { owner: Some(owner.into()), ..name.clone() };
            let text = owned.to_string();
            assert!(text.ends_with(&format!("-3-{owner}.request")) && text.len() <= 255, "{text}");
            assert_eq!(RequestFileName::parse(&text).as_ref(), Some(&owned));
            let content: Bytes = [&owned.header(&body), &body.bytes[..]].concat().into();
            assert_eq!(owned.body(content.clone()).as_ref(), Ok(&body));
            for other in [None, Some("mta2".into())] {
                let other = RequestFileName { owner: other, ..owned.clone() };
                assert!(other.body(content.clone()).is_err(), "{other}");
            }
        }
        let largest = RequestFileName {
            key: RequestKey { collection: u64::MAX, part: u32::MAX },
            points: u64::MAX,
            queued_at_nanos: u64::MAX,
            owner: Some(longest.into()),
        };
        // The limit of Linux' file systems.
        assert!(largest.to_string().len() <= 255);
        assert_eq!(RequestFileName::parse(&largest.to_string()), Some(largest));
        for owner in ["", "a/b", "ä", "a b", &"n".repeat(101)] {
            assert_eq!(RequestFileName::parse(&name.to_string().replace("-3.request", &format!("-3-{owner}.request"))), None, "{owner}");
        }
    }

    #[test]
    fn a_file_of_another_version_is_an_error() {
        let (name, _, mut content) = example(Compression::None);
        content[MAGIC.len() - 1] = b'2';
        assert_eq!(name.body(content.into()), Err("the file format is unknown"));
    }

    #[test]
    fn a_flipped_bit_and_a_wrong_length_are_detected() {
        for (name, _, content) in COMPRESSIONS.map(example) {
            for bit in 0..content.len() * 8 {
                let mut flipped = content.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(name.body(flipped.into()).is_err(), "bit {bit}");
            }
            for len in 0..content.len() {
                assert!(name.body(content[..len].to_vec().into()).is_err(), "{len} bytes");
            }
            assert!(name.body([&content[..], b"x"].concat().into()).is_err());
            assert!(name.body(vec![0; content.len()].into()).is_err());
        }
    }

    #[test]
    fn a_file_under_the_name_of_another_request_is_detected() {
        let (name, _, content) = example(Compression::Gzip);
        for other in [
            RequestFileName { key: RequestKey { part: 8, ..name.key }, ..name.clone() },
            RequestFileName { points: 4, ..name.clone() },
            RequestFileName { queued_at_nanos: 1, ..name.clone() },
            RequestFileName { owner: Some("mta1".into()), ..name.clone() },
        ] {
            assert!(other.body(content.clone().into()).is_err(), "{other}");
        }
    }

    #[test]
    fn names_that_postmeter_does_not_write_are_rejected() {
        for name in ["", ".request", "1-2-3-4.request", "writing", "01764000000000000000-0000000007-+5-3.request", "a-b-c-d.request"] {
            assert_eq!(RequestFileName::parse(name), None, "{name}");
        }
        let (name, ..) = example(Compression::None);
        assert_eq!(RequestFileName::parse(&format!("{name}.damaged")), None);
    }

    #[test]
    fn disk_usage_is_counted_in_whole_blocks() {
        for (len, bytes) in [(0, 4096), (4096 - HEADER_LEN, 4096), (4097 - HEADER_LEN, 8192)] {
            assert_eq!(disk_bytes(len), bytes, "{len}");
        }
    }
}
