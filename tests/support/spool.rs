//! The files of a spool, as a test reads them.

use super::otlp_receiver::decompressed;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use std::path::{Path, PathBuf};

/// The start of each file; the version of the format is part of it.
const MAGIC: &[u8] = b"postmeter-spool2";
/// The start of files of the previous version.
const MAGIC_1: &[u8] = b"postmeter-spool1";
/// Bytes of the checksum, which follows.
const CHECKSUM_BYTES: usize = 4;
/// Bytes of the fields that both versions have.
const FIELDS_BYTES: usize = 36;
/// Bytes of the header: the fields end with the length before compression and the compression.
const HEADER_BYTES: usize = MAGIC.len() + CHECKSUM_BYTES + FIELDS_BYTES + 9;
/// Compressions by their numbers in files.
const COMPRESSIONS: [&str; 3] = ["none", "gzip", "zstd"];

/// The files with requests in the configured directory of a spool, oldest first.
pub fn request_files(spool: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(spool.join("otlp-metrics")).into_iter().flatten().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "request"));
    files.sort();
    files
}

/// The compression of the request in the content of a file.
pub fn compression_of(content: &[u8]) -> &'static str {
    COMPRESSIONS[usize::from(content[HEADER_BYTES - 1])]
}

/// The bytes of the request in the content of a file, after decompression.
pub fn message_in(content: &[u8]) -> Option<Bytes> {
    content.strip_prefix(MAGIC)?;
    let bytes = Bytes::copy_from_slice(content.get(HEADER_BYTES..)?);
    decompressed(&bytes, Some(compression_of(content)).filter(|name| *name != "none"))
}

/// The request in the content of a file, if it can be decoded.
pub fn request_in(content: &[u8]) -> Option<ExportMetricsServiceRequest> {
    ExportMetricsServiceRequest::decode(message_in(content)?).ok()
}

/// The file that the previous version wrote for the same request: without compression, and with a checksum of what follows it.
pub fn version_1(content: &[u8]) -> Vec<u8> {
    let request = message_in(content).unwrap();
    let mut fields = content[MAGIC.len() + CHECKSUM_BYTES..][..FIELDS_BYTES].to_vec();
    fields[FIELDS_BYTES - 8..].copy_from_slice(&(request.len() as u64).to_le_bytes());
    let rest = [&fields[..], &request].concat();
    [MAGIC_1, &crc32fast::hash(&rest).to_le_bytes(), &rest].concat()
}
