//! The files of a spool, as a test reads them.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use std::path::{Path, PathBuf};

/// The start of each file; the version of the format is part of it.
const MAGIC: &[u8] = b"postmeter-spool1";
/// Bytes between the magic and the request.
const HEADER_BYTES: usize = 40;

/// The files with requests in the configured directory of a spool, oldest first.
pub fn request_files(spool: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(spool.join("otlp-metrics")).into_iter().flatten().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "request"));
    files.sort();
    files
}

/// The request in the content of a file, if it can be decoded.
pub fn request_in(content: &[u8]) -> Option<ExportMetricsServiceRequest> {
    ExportMetricsServiceRequest::decode(content.strip_prefix(MAGIC)?.get(HEADER_BYTES..)?).ok()
}
