//! The formats of log files from which the records of a system are read.

/// The format of a system's log files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFileFormat {
    /// A directory of segments: lines of JSON, compressed with zstd.
    Segments,
    /// A file with the lines of Postfix' programs, among others.
    Postfix,
}

impl LogFileFormat {
    /// Every format, in the order of declaration.
    pub const ALL: &'static [Self] = &[Self::Segments, Self::Postfix];

    /// The name in a definition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Segments => "segments",
            Self::Postfix => "postfix",
        }
    }

    /// The key of `log_files` that has the path.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Segments => "dir",
            Self::Postfix => "path",
        }
    }
}
