//! The place in a file that a target comes from.

use std::fmt;

/// The file and line of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The path of the file as the user wrote it. Empty for the command line.
    pub file: String,
    /// The line in the file, counted from 1.
    pub line: Option<usize>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => f.write_str("the command line"),
            (file, Some(line)) => write!(f, "{file}:{line}"),
            (file, None) => f.write_str(file),
        }
    }
}
