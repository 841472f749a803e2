//! Errors and warnings about a file, each with its location.

use crate::net::Escaped;
use std::fmt;

/// An error or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path of the file as the user wrote it. Empty for the command line and the environment.
    pub file: String,
    /// The line in the file, counted from 1.
    pub line: Option<usize>,
    /// The column in the line, counted from 1. Problems of the configuration file have none.
    pub column: Option<usize>,
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
                if let Some(column) = self.column {
                    write!(f, ":{column}")?;
                }
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

/// All errors of a file, in the order of the file. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorts the problems by position and removes duplicates: an error in `defaults` is found once for each target.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>) -> Self {
        sort_and_deduplicate(&mut problems);
        Self(problems)
    }

    /// One problem of a whole file, or of a line.
    #[must_use]
    pub fn of_file(file: &str, line: Option<usize>, message: String) -> Self {
        Self(vec![Problem { file: file.to_owned(), line, column: None, path: String::new(), message }])
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

/// Sorts by position, with other files after the first, and removes duplicates.
pub(crate) fn sort_and_deduplicate(problems: &mut Vec<Problem>) {
    let first = problems.iter().map(|problem| problem.file.clone()).find(|file| !file.is_empty()).unwrap_or_default();
    problems.sort_by_key(|problem| (!problem.file.is_empty() && problem.file != first, problem.line, problem.column));
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
