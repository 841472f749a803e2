//! Readers: from the text of a response to metric families.

use super::PathSeries;
use crate::format::prometheus::{self, LastLine, TextFormat};
use crate::format::{ReadError, json_paths};
use crate::model::Families;

/// Reads the families of a response.
#[derive(Clone, Copy, Debug)]
pub enum Reader {
    /// The reader of the Prometheus text format and of OpenMetrics.
    Text(LastLine),
    /// A reader in code.
    Code(fn(String) -> Result<Families, ReadError>),
    /// Series that are found in a JSON document by their paths.
    Paths(&'static [PathSeries]),
}

impl Reader {
    /// The series that are found by their paths. Other readers declare none.
    #[must_use]
    pub const fn declared_series(self) -> &'static [PathSeries] {
        match self {
            Self::Paths(series) => series,
            Self::Text(_) | Self::Code(_) => &[],
        }
    }

    /// Reads a response. `declared` is the format that its content type declares.
    ///
    /// # Errors
    /// The response is not valid, or exceeds a limit.
    pub fn read(self, body: String, declared: Option<TextFormat>) -> Result<Families, ReadError> {
        match self {
            Self::Text(last_line) => prometheus::read_as(declared, last_line, body),
            Self::Code(read) => read(body),
            Self::Paths(series) => json_paths::read(series, &body),
        }
    }
}
