//! The files of a spool, as a test reads them.

use super::otlp_receiver::decompressed;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use std::path::{Path, PathBuf};

/// The start of each file; the version of the format is part of it.
pub const MAGIC: &[u8] = b"postmeter-spool1";
/// Bytes of the checksum, which follows.
const CHECKSUM_BYTES: usize = 4;
/// Bytes of the fields, of which the last one is the compression.
const FIELDS_BYTES: usize = 45;
/// Bytes of the header.
const HEADER_BYTES: usize = MAGIC.len() + CHECKSUM_BYTES + FIELDS_BYTES;
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
