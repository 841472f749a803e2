//! Errors and warnings about a file, each with its location.

use crate::net::Escaped;
use std::fmt;

/// The problems of a list that one log line names.
const SUMMARY_PROBLEMS_MAX: usize = 5;

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
        f.write_str(&self.in_file())
    }
}

impl Problem {
    /// The problem without its file.
    fn in_file(&self) -> String {
        let message = Escaped::line(&self.message);
        if self.path.is_empty() { message.to_string() } else { format!("{}: {message}", Escaped::line(&self.path)) }
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

    /// The problems on one line: the first ones, with the file only where it differs, and the number of the others.
    pub(crate) fn summary(&self) -> String {
        let mut file = None;
        let named = self.0.iter().take(SUMMARY_PROBLEMS_MAX).map(|problem| {
            let is_same_file = file.replace(&problem.file) == Some(&problem.file);
            match (is_same_file, problem.line) {
                (false, _) => problem.to_string(),
                (true, None) => problem.in_file(),
                (true, Some(line)) => format!("line {line}: {}", problem.in_file()),
            }
        });
        let mut summary = named.collect::<Vec<_>>().join("; ");
        if let more @ 1.. = self.0.len().saturating_sub(SUMMARY_PROBLEMS_MAX) {
            summary += &format!("; and {more} more");
        }
        summary
    }

    /// Iterates over the problems.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

/// Sorts by file, in the order of their first problems, and by position; and removes duplicates.
pub(crate) fn sort_and_deduplicate(problems: &mut Vec<Problem>) {
    let mut files: Vec<String> = Vec::new();
    for file in problems.iter().map(|problem| &problem.file).filter(|file| !file.is_empty()) {
        if !files.contains(file) {
            files.push(file.clone());
        }
    }
    // Problems without a file are sorted like those of the first one.
    let order = |problem: &Problem| files.iter().position(|file| *file == problem.file).unwrap_or(0);
    problems.sort_by_key(|problem| (order(problem), problem.line, problem.column));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_the_file_once_and_counts_what_it_omits() {
        let problem = |file: &str, line, message: &str| Problem {
            file: file.to_owned(),
            line,
            column: None,
            path: String::new(),
            message: message.to_owned(),
        };
        let few = [problem("a", Some(2), "x"), problem("a", Some(7), "y"), problem("a", None, "z"), problem("b", Some(1), "w")];
        assert_eq!(Problems(few.to_vec()).summary(), "a:2: x; line 7: y; z; b:1: w");
        let many: Vec<Problem> = (0..9).map(|n| problem("a", None, &n.to_string())).collect();
        assert_eq!(Problems(many).summary(), "a: 0; 1; 2; 3; 4; and 4 more");
    }
}
