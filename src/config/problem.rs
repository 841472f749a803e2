//! What is wrong with a configuration: a line each, with its place in the file.

use crate::net::Escaped;
use std::fmt;

/// One thing that is wrong, or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's name as the user gave it. Empty for the command line and the environment.
    pub file: String,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// Where in the file's tree (`targets[1].url`), or the flag or variable. Empty for the file as a whole.
    pub path: String,
    /// What is wrong, and what to do.
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

/// Where something was configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file's name as the user gave it. Empty for the command line.
    pub file: String,
    /// The line in the file, from 1.
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

/// Everything that is wrong, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// In the order of lines, each once: what stands in `defaults` is found wrong for each target.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>) -> Self {
        in_order(&mut problems);
        Self(problems)
    }

    /// These, and those: of several files.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

/// Sorts by line, other files after the first, and drops repetitions.
pub(super) fn in_order(problems: &mut Vec<Problem>) {
    let first = problems.iter().map(|problem| problem.file.clone()).find(|file| !file.is_empty()).unwrap_or_default();
    problems.sort_by_key(|problem| (!problem.file.is_empty() && problem.file != first, problem.line));
    let mut seen = std::collections::HashSet::new();
    problems.retain(|problem| seen.insert(problem.to_string()));
}

/// One per line, without a line break at the end.
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
