//! Readers: from the text of a response to metric families.

use super::PathSeries;
use crate::format::{ReadError, json_paths};
use crate::model::Families;

/// Reads the families of a response.
#[derive(Clone, Copy, Debug)]
pub enum Reader {
    /// A reader in code.
    Code(fn(String) -> Result<Families, ReadError>),
    /// Series that are found in a JSON document by their paths.
    Paths(&'static [PathSeries]),
}

impl Reader {
    /// Reads a response.
    ///
    /// # Errors
    /// The response is not valid, or exceeds a limit.
    pub fn read(self, body: String) -> Result<Families, ReadError> {
        match self {
            Self::Code(read) => read(body),
            Self::Paths(series) => json_paths::read(series, &body),
        }
    }
}
