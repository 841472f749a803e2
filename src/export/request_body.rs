//! The body of an export request: compressed once, so that the queue, the spool and each attempt to send it use the same bytes.

use crate::config::Compression;
use bytes::Bytes;
use std::io::{self, Error, ErrorKind, Read};

/// The level of gzip. Higher levels cost several times the processor time: most of a request is labels and timestamps that repeat, which
/// the lowest level finds already.
const GZIP_LEVEL: u32 = 1;
/// Most requests become shorter than one n-th, so that their buffer need not grow.
const COMPRESSED_SHARE: usize = 6;
/// The level of zstd.
const ZSTD_LEVEL: i32 = 1;

/// The body of an export request, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestBody {
    pub(crate) bytes: Bytes,
    pub(crate) compression: Compression,
    /// The number of bytes before compression.
    pub(crate) uncompressed_len: usize,
}

impl RequestBody {
    /// A body without compression.
    #[must_use]
    pub const fn uncompressed(bytes: Bytes) -> Self {
        let uncompressed_len = bytes.len();
        Self { bytes, compression: Compression::None, uncompressed_len }
    }

    /// Compresses a body. If that fails, the body stays uncompressed.
    #[must_use]
    pub fn compressed(bytes: Bytes, compression: Compression) -> Self {
        Self::compressed_copy(&bytes, compression).unwrap_or_else(|| Self::uncompressed(bytes))
    }

    /// Compresses bytes. Returns `None` for no compression, or if it fails.
    pub(crate) fn compressed_copy(bytes: &[u8], compression: Compression) -> Option<Self> {
        let compressed = compress(bytes, compression).ok()??;
        Some(Self { bytes: compressed, compression, uncompressed_len: bytes.len() })
    }

    /// The number of bytes that are sent.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty request is not a special case")]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Decompresses the body.
    ///
    /// # Errors
    /// The bytes are invalid, or more or less than `uncompressed_len` when they are decompressed.
    pub(crate) fn decompressed(&self) -> io::Result<Bytes> {
        let bytes = decompress(&self.bytes, self.compression, self.uncompressed_len)?;
        if bytes.len() == self.uncompressed_len { Ok(bytes) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    /// Returns the same body with another compression.
    ///
    /// # Errors
    /// The body cannot be decompressed.
    pub(crate) fn with_compression(&self, compression: Compression) -> io::Result<Self> {
        if self.compression == compression { Ok(self.clone()) } else { Ok(Self::compressed(self.decompressed()?, compression)) }
    }
}

/// Returns `None` for no compression.
fn compress(bytes: &[u8], compression: Compression) -> io::Result<Option<Bytes>> {
    let compressed = match compression {
        Compression::None => return Ok(None),
        Compression::Gzip => {
            let mut compressed = Vec::with_capacity(bytes.len() / COMPRESSED_SHARE);
            flate2::bufread::GzEncoder::new(bytes, flate2::Compression::new(GZIP_LEVEL)).read_to_end(&mut compressed)?;
            compressed
        }
        Compression::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL)?,
    };
    // Without the unused capacity, which the limit of the queue would not count.
    Ok(Some(compressed.into_boxed_slice().into()))
}

/// Decompresses bytes.
///
/// # Errors
/// The bytes are invalid, or more than `bytes_max` when they are decompressed.
pub(crate) fn decompress(bytes: &Bytes, compression: Compression, bytes_max: usize) -> io::Result<Bytes> {
    let mut decompressed = Vec::new();
    match compression {
        Compression::None => return if bytes.len() <= bytes_max { Ok(bytes.clone()) } else { Err(too_long()) },
        Compression::Gzip => {
            let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
            flate2::read::GzDecoder::new(&bytes[..]).take(limit).read_to_end(&mut decompressed)?;
        }
        Compression::Zstd => decompressed = zstd::bulk::decompress(bytes, bytes_max)?,
    }
    if decompressed.len() <= bytes_max { Ok(decompressed.into()) } else { Err(too_long()) }
}

fn too_long() -> Error {
    Error::new(ErrorKind::InvalidData, "it is too long")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

    proptest! {
        #[test]
        fn decompressed_bytes_are_those_before_compression(bytes: Vec<u8>, repetitions in 0..200_usize) {
            let bytes = Bytes::from(bytes.repeat(repetitions));
            for compression in ALL {
                let body = RequestBody::compressed(bytes.clone(), compression);
                prop_assert_eq!((body.compression, body.uncompressed_len), (compression, bytes.len()));
                for other in ALL {
                    let changed = body.with_compression(other).unwrap();
                    prop_assert_eq!(changed.compression, other);
                    prop_assert_eq!(&changed.decompressed().unwrap(), &bytes);
                }
            }
        }
    }

    #[test]
    fn repetitive_bytes_become_much_shorter() {
        // The fastest level of gzip has no code for long repetitions.
        let bytes = Bytes::from(b"the same label of many series, ".repeat(10_000));
        for compression in [Compression::Gzip, Compression::Zstd] {
            let body = RequestBody::compressed(bytes.clone(), compression);
            assert!(body.bytes.len() < bytes.len() / 50, "{compression:?}: {} bytes", body.bytes.len());
        }
    }

    #[test]
    fn bytes_of_another_length_or_another_compression_are_rejected() {
        let bytes = Bytes::from_static(b"some bytes that were compressed");
        for compression in ALL {
            let body = RequestBody::compressed(bytes.clone(), compression);
            for uncompressed_len in [0, bytes.len() - 1, bytes.len() + 1] {
                assert!(RequestBody { uncompressed_len, ..body.clone() }.decompressed().is_err(), "{compression:?}: {uncompressed_len}");
            }
            for other in ALL.into_iter().filter(|other| *other != compression && *other != Compression::None) {
                assert!(RequestBody { compression: other, ..body.clone() }.decompressed().is_err(), "{compression:?} as {other:?}");
            }
        }
    }
}
