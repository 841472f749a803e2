//! The API of a server's delivery log.

use super::Part;
use super::body::decode;
use crate::format::ReadError;
use crate::model::{Outcome, RecordPage};

/// A delivery log that a server exposes. Collections do not poll it; it is followed on a timer of its own.
///
/// The request's path contains `{start}` and `{end}`, the first and the last Unix second of the records, and `{rows}`, the number of rows
/// of a page.
#[derive(Debug)]
pub struct DeliveryLogApi {
    /// The name in `parts:`, the request, its limits and hints. The reader of the request is not used.
    pub part: Part,
    /// The path of a page with the newest records since `{start}`.
    pub newest_path: &'static str,
    /// The outcomes that its records have, for the documentation.
    pub outcomes: &'static [Outcome],
    /// The names of the fields that its records can have, for the documentation.
    pub fields: &'static [&'static str],
    /// What its records do not contain, for the documentation.
    pub limits: &'static [&'static str],
    /// Reads the records of a response.
    pub reader: fn(&str) -> Result<RecordPage, ReadError>,
}

impl DeliveryLogApi {
    /// Reads a response. Bytes that are not UTF-8 are replaced by `?`.
    ///
    /// # Errors
    /// [`ReadError::Html`] for an HTML page, or the error of the reader.
    pub fn read(&self, body: Vec<u8>) -> Result<RecordPage, ReadError> {
        (self.reader)(&decode(body)?.0)
    }
}
