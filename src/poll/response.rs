//! A response whose body is decompressed while it is read.
//!
//! # Why not by the HTTP client
//!
//! Compressed data may consist of several members (RFC 1952, section 2.2), as servers send it that compress a stream piece by piece. The
//! HTTP client ends after the first one, as if that were all.

use super::PollError;
use super::http_error::{broken_compression, in_response, unsupported_compression};
use crate::net::{GZIP_CODINGS, content_codings};
use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use http::header::HeaderMap;
use reqwest::StatusCode;
use std::io::{self, Write};
use std::mem::take;

/// The length of a piece of decompressed data, except for what one step of the decoder adds, at most 32 KiB.
const PIECE_BYTES: usize = 64 * 1024;
/// Other compressions, which are not requested. Any other value is ignored: servers send `utf-8` here, for example.
const OTHER_COMPRESSIONS: [&str; 6] = ["deflate", "compress", "x-compress", "br", "zstd", "dcb"];

/// A response to a request that accepts gzip.
#[derive(Debug)]
pub(super) struct Response {
    inner: reqwest::Response,
    /// `None` if the body is not compressed, or at its end. Boxed, because it would be a large part of the future of each poll.
    gzip: Option<Box<GzipBody>>,
    is_compressed: bool,
    /// The compression that cannot be decoded.
    unsupported: Option<String>,
}

impl From<reqwest::Response> for Response {
    fn from(inner: reqwest::Response) -> Self {
        let codings = compressions(inner.headers());
        let is_compressed = matches!(codings.as_slice(), [one] if GZIP_CODINGS.contains(&one.as_str()));
        let unsupported = (!is_compressed && !codings.is_empty()).then(|| codings.join(", "));
        Self { inner, gzip: is_compressed.then(Box::default), is_compressed, unsupported }
    }
}

/// The known compressions that the headers list.
fn compressions(headers: &HeaderMap) -> Vec<String> {
    let is_known = |coding: &String| GZIP_CODINGS.iter().chain(&OTHER_COMPRESSIONS).any(|known| known == coding);
    content_codings(headers).into_iter().filter(is_known).collect()
}

impl Response {
    pub(super) fn status(&self) -> StatusCode {
        self.inner.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The length of the body. `None` if it is not known before the end.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.inner.content_length().filter(|_| !self.is_compressed)
    }

    /// The next piece of the body, or `None` at its end.
    ///
    /// # Errors
    /// The connection broke, or the compressed data is invalid, incomplete, or not in gzip.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, PollError> {
        if let Some(coding) = &self.unsupported {
            return Err(unsupported_compression(coding));
        }
        loop {
            let Some(gzip) = &mut self.gzip else {
                if self.is_compressed {
                    return Ok(None);
                }
                return self.inner.chunk().await.map_err(|error| in_response(&error));
            };
            let piece = gzip.next().map_err(|error| broken_compression(&error))?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            match self.inner.chunk().await.map_err(|error| in_response(&error))? {
                Some(chunk) => gzip.compressed = chunk,
                None => {
                    let rest = take(&mut self.gzip).map(|gzip| gzip.finish()).transpose().map_err(|error| broken_compression(&error))?;
                    return Ok(rest.filter(|rest| !rest.is_empty()));
                }
            }
        }
    }
}

/// A compressed body that is being decompressed.
#[derive(Debug)]
struct GzipBody {
    decoder: MultiGzDecoder<Vec<u8>>,
    /// Bytes that have arrived and are not decompressed yet.
    compressed: Bytes,
    /// Something has arrived.
    has_begun: bool,
}

impl Default for GzipBody {
    fn default() -> Self {
        Self { decoder: MultiGzDecoder::new(Vec::new()), compressed: Bytes::new(), has_begun: false }
    }
}

impl GzipBody {
    /// Decompresses a piece of what has arrived. Empty if more must arrive first.
    fn next(&mut self) -> io::Result<Bytes> {
        self.has_begun |= !self.compressed.is_empty();
        while !self.compressed.is_empty() && self.decoder.get_ref().len() < PIECE_BYTES {
            match self.decoder.write(&self.compressed)? {
                // It never happens, but would be an endless loop.
                0 => return Err(io::ErrorKind::WriteZero.into()),
                read => self.compressed.advance(read),
            }
        }
        Ok(take(self.decoder.get_mut()).into())
    }

    /// Checks that the data is complete, and returns the rest of it.
    fn finish(mut self) -> io::Result<Bytes> {
        if self.has_begun {
            self.decoder.try_finish()?;
        }
        Ok(take(self.decoder.get_mut()).into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::header::{CONTENT_ENCODING, HeaderValue};
    use proptest::prelude::*;

    fn member(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn only_known_compressions_count() {
        for (headers, expected) in [
            (&["gzip"][..], &["gzip"][..]),
            (&["X-GZip"], &["x-gzip"]),
            (&["identity, gzip"], &["gzip"]),
            (&["gzip", ""], &["gzip"]),
            (&["utf-8"], &[]),
            (&["none"], &[]),
            (&["gzip,gzip"], &["gzip", "gzip"]),
            (&["gzip", "Br"], &["gzip", "br"]),
            (&["zstd"], &["zstd"]),
        ] {
            let headers = headers.iter().map(|header| (CONTENT_ENCODING, HeaderValue::from_static(header))).collect();
            assert_eq!(compressions(&headers), expected, "{headers:?}");
        }
    }

    /// Decompresses data that arrives in pieces of this length.
    fn decompressed(compressed: &[u8], piece_bytes: usize) -> io::Result<Vec<u8>> {
        let (mut body, mut text) = (GzipBody::default(), Vec::new());
        for arrived in compressed.chunks(piece_bytes) {
            body.compressed = Bytes::copy_from_slice(arrived);
            loop {
                let piece = body.next()?;
                assert!(piece.len() <= 2 * PIECE_BYTES, "{}", piece.len());
                if piece.is_empty() {
                    break;
                }
                text.extend_from_slice(&piece);
            }
        }
        text.extend_from_slice(&body.finish()?);
        Ok(text)
    }

    proptest! {
        #[test]
        fn all_members_are_read_however_they_arrive(texts: Vec<Vec<u8>>, piece_bytes in 1..100_usize) {
            let compressed: Vec<u8> = texts.iter().flat_map(|text| member(text)).collect();
            prop_assert_eq!(decompressed(&compressed, piece_bytes).unwrap(), texts.concat());
        }
    }

    #[test]
    fn incomplete_or_invalid_data_is_an_error() {
        let (first, second) = (member(b"a 1\n"), member(b"b 2\n"));
        let both = [first.clone(), second].concat();
        for len in (1..both.len()).filter(|len| *len != first.len()) {
            assert!(decompressed(&both[..len], 7).is_err(), "{len} of {} bytes", both.len());
        }
        for at in 0..both.len() {
            let mut broken = both.clone();
            broken[at] ^= 0xff;
            // The time, the level and the system in the header are not checked.
            let is_harmless = (4..10).contains(&(at % first.len()));
            assert!(is_harmless || decompressed(&broken, 7).is_err(), "byte {at}");
        }
        assert!(decompressed(&[both, b"and more".to_vec()].concat(), 7).is_err());
    }

    #[test]
    fn much_data_from_little_arrives_in_pieces() {
        let text = vec![b'#'; 10 * 1024 * 1024];
        assert_eq!(decompressed(&member(&text), 4096).unwrap(), text);
        assert_eq!(decompressed(&[], 1).unwrap(), b"", "an empty body has no header of gzip");
    }

    /// A decoder that stops after each member must not evade the limit: there are many, each with much data.
    #[test]
    fn only_a_piece_of_a_bomb_is_decompressed_at_a_time() {
        let bomb: Bytes = member(&vec![b'#'; 16 * PIECE_BYTES]).repeat(4).into();
        let mut body = GzipBody { compressed: bomb.clone(), ..GzipBody::default() };
        let mut bytes = 0;
        while !body.compressed.is_empty() {
            let piece = body.next().unwrap();
            let capacity = body.decoder.get_ref().capacity();
            assert!(piece.len() <= 2 * PIECE_BYTES && capacity <= 2 * PIECE_BYTES, "{} {capacity}", piece.len());
            bytes += piece.len();
            assert!(bomb.len() - body.compressed.len() <= bomb.len() * bytes / (32 * PIECE_BYTES), "more was decompressed than was read");
        }
        assert_eq!(bytes + body.finish().unwrap().len(), 4 * 16 * PIECE_BYTES);
    }
}
