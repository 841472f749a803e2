//! Files of environment variables, in the format of systemd's `EnvironmentFile=`.
//!
//! # Format
//!
//! From systemd.exec(5): one `NAME=VALUE` a line; empty lines and lines that begin with `#` or `;` are ignored; a backslash at the end of a
//! line continues it; a value may be quoted by `"` or `'`. In double quotes a backslash escapes `"`, `\`, `` ` `` and `$`; outside quotes it
//! escapes any character. `$` is an ordinary character.

use super::{Environment, Problem, Problems};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The largest size of a file of environment variables.
pub const ENV_FILE_BYTES_MAX: u64 = 1024 * 1024;

impl Environment {
    /// Returns these variables and those of a file, which override them.
    ///
    /// # Errors
    /// Returns every line that is not `NAME=VALUE`, or the reason why the file cannot be read. No error quotes a value.
    pub fn with_file(self, path: &Path) -> Result<Self, Problems> {
        let file = path.display().to_string();
        let problem = |line, message: String| Problem { file: file.clone(), line, column: None, path: String::new(), message };
        let of_file = |message: String| Problems::new(vec![problem(None, message)]);
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(ENV_FILE_BYTES_MAX + 1).read_to_string(&mut text));
        read.map_err(|error| {
            let message = format!("cannot read {file}: {error}");
            Problems::new(vec![Problem { file: String::new(), line: None, column: None, path: "--env-file".to_owned(), message }])
        })?;
        if text.len() as u64 > ENV_FILE_BYTES_MAX {
            return Err(of_file(format!("exceeds the limit of {ENV_FILE_BYTES_MAX} bytes")));
        }
        match parse(&text) {
            Ok(variables) => Ok(self.and(variables)),
            Err(lines) => {
                let message = "is not NAME=VALUE; a name has letters, digits and '_', and a quote must be closed";
                Err(Problems::new(lines.into_iter().map(|line| problem(Some(line), message.to_owned())).collect()))
            }
        }
    }
}

/// Returns the variables in the order of the file, or the lines that are not assignments.
fn parse(text: &str) -> Result<Vec<(String, String)>, Vec<usize>> {
    let mut variables = Vec::new();
    let mut invalid = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let mut assignment = line.to_owned();
        let value = loop {
            match assignment.split_once('=').map(|(_, value)| unquote(value)) {
                Some(Unquoted::Complete(value)) => break Some(value),
                // A quote or a backslash continues on the next line.
                Some(Unquoted::Continued) => match lines.next() {
                    Some((_, next)) => assignment = format!("{assignment}\n{next}"),
                    None => break None,
                },
                None => break None,
            }
        };
        let name = assignment.split('=').next().unwrap_or_default().trim_end();
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        match value.filter(|_| is_name(name)) {
            Some(value) => variables.push((name.to_owned(), value)),
            None => invalid.push(index + 1),
        }
    }
    if invalid.is_empty() { Ok(variables) } else { Err(invalid) }
}

enum Unquoted {
    Complete(String),
    Continued,
}

/// Removes quotes and escapes from a value.
fn unquote(text: &str) -> Unquoted {
    let mut value = String::new();
    let mut kept_len = 0;
    let mut quote = None;
    let mut chars = text.trim_start_matches([' ', '\t']).chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => value.push(c),
            (_, '\\') => match chars.next() {
                None => return Unquoted::Continued,
                // A continued line.
                Some('\n') => {}
                Some(c @ ('"' | '\\' | '`' | '$')) => value.push(c),
                Some(c) if quote.is_none() => value.push(c),
                Some(c) => value.extend(['\\', c]),
            },
            (None, ' ' | '\t' | '\r') => {
                value.push(c);
                continue;
            }
            (_, c) => value.push(c),
        }
        kept_len = value.len();
    }
    // White space around an unquoted value does not belong to it.
    value.truncate(kept_len);
    if quote.is_some() { Unquoted::Continued } else { Unquoted::Complete(value) }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn values_are_read_as_systemd_reads_them() {
        for (text, expected) in [
            ("A=b", "b"),
            ("  A = b c \t", "b c"),
            ("# comment\n; comment\n\nA=b", "b"),
            ("A=", ""),
            ("A=pa$word # x", "pa$word # x"),
            ("A=\"b c \"", "b c "),
            ("A='b \\ \"c\"'", "b \\ \"c\""),
            ("A=\"a\\\"b\\\\c\\$d\\e\"", "a\"b\\c$d\\e"),
            ("A=a\\ b\\\\", "a b\\"),
            ("A=one\\\ntwo", "onetwo"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("A=x=y==", "x=y=="),
            ("A=b\r", "b"),
            ("A=ü", "ü"),
        ] {
            assert_eq!(parse(text), Ok(vec![("A".to_owned(), expected.to_owned())]), "{text:?}");
        }
        assert_eq!(parse("A=1\nB=2\nA=3"), Ok([("A", "1"), ("B", "2"), ("A", "3")].map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec()));
    }

    #[test]
    fn lines_that_are_not_assignments_are_reported() {
        assert_eq!(parse("A=1\nhunter2\nexport B=2\n1C=3\n=x\nD=\"open"), Err(vec![2, 3, 4, 5, 6]));
    }
}
