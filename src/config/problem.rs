//! Errors and warnings about a configuration, each with its location.

use crate::net::Escaped;
use std::fmt;

/// An error or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path of the file as the user wrote it. Empty for the command line and the environment.
    pub file: String,
    /// The line in the file, counted from 1.
    pub line: Option<usize>,
    /// The key (`targets[1].url`), the flag or the environment variable. Empty if the whole file is concerned.
    pub path: String,
    /// The message, with advice on what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        if !self.path.is_empty() {
            Escaped::line(&self.path).fmt(f)?;
            f.write_str(": ")?;
        }
        Escaped::line(&self.message).fmt(f)
    }
}

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

/// All errors of a configuration, in the order of the file. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorts the problems by line and removes duplicates: an error in `defaults` is found once for each target.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>) -> Self {
        sort_and_deduplicate(&mut problems);
        Self(problems)
    }

    /// Appends the problems of another file.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Iterates over the problems.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

/// Sorts by line, with other files after the first, and removes duplicates.
pub(super) fn sort_and_deduplicate(problems: &mut Vec<Problem>) {
    let first = problems.iter().map(|problem| problem.file.clone()).find(|file| !file.is_empty()).unwrap_or_default();
    problems.sort_by_key(|problem| (!problem.file.is_empty() && problem.file != first, problem.line));
    let mut seen = std::collections::HashSet::new();
    problems.retain(|problem| seen.insert(problem.to_string()));
}

/// Prints one problem per line, without a line break at the end.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
