//! Files of environment variables, in the format of systemd's `EnvironmentFile=`.
//!
//! # Format
//!
//! One `NAME=VALUE` a line; empty lines and lines that begin with `#` or `;` are ignored; a backslash at the end of an unquoted or
//! double-quoted line continues it. A value that begins with `"` or `'` is quoted, and another quoted or unquoted piece may follow:
//! `"a" 'b'` is `ab`. Once an unquoted value has begun, quotes are ordinary characters: `a'b'` has both quotes. In double quotes a
//! backslash escapes `"`, `\`, `` ` `` and `$`; outside quotes it escapes any character. White space around an unquoted value does not
//! belong to it. `$` is an ordinary character.
//!
//! systemd ignores lines without `=` and invalid names, and closes quotes at the end of the file. Here these are errors, because a secret
//! would be missing or wrong.

use super::{Environment, Problem, Problems};
use crate::net::explain_denied_access;
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
        read.map_err(|error| explain_denied_access(path, error)).map_err(|error| {
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

/// A state of the parser, as in `parse_env_file_internal` of systemd's `env-file.c`.
#[derive(Clone, Copy, PartialEq)]
enum State {
    BeforeName,
    Name,
    /// Before the value, or after a quoted piece of it: white space does not count, and a quote opens the next piece.
    BeforeValue,
    /// In an unquoted value, where quotes are ordinary characters.
    Value,
    ValueEscape,
    SingleQuotes,
    DoubleQuotes,
    DoubleQuotesEscape,
    Comment,
}

/// Returns the variables in the order of the file, or the lines where something begins that is not an assignment.
fn parse(text: &str) -> Result<Vec<(String, String)>, Vec<usize>> {
    let mut variables = Vec::new();
    let mut invalid = Vec::new();
    let (mut name, mut value) = (String::new(), String::new());
    let (mut state, mut line, mut first_line) = (State::BeforeName, 1, 1);
    // The length of the value without white space at its end.
    let mut kept_len = 0;
    let last_line_end = (!text.ends_with('\n')).then_some('\n');
    for c in text.chars().chain(last_line_end) {
        let is_line_end = matches!(c, '\n' | '\r');
        let is_space = is_line_end || matches!(c, ' ' | '\t');
        let before = state;
        state = match state {
            State::BeforeName if is_space => State::BeforeName,
            State::BeforeName if matches!(c, '#' | ';') => State::Comment,
            State::BeforeName => {
                first_line = line;
                name.push(c);
                State::Name
            }
            State::Name if c == '=' => State::BeforeValue,
            State::Name | State::BeforeValue | State::Value if is_line_end => {
                value.truncate(if before == State::Value { kept_len } else { value.len() });
                let (name, value) = (std::mem::take(&mut name), std::mem::take(&mut value));
                let name = name.trim_end_matches([' ', '\t']);
                if before != State::Name && is_name(name) {
                    variables.push((name.to_owned(), value));
                } else {
                    invalid.push(first_line);
                }
                State::BeforeName
            }
            State::Name => {
                name.push(c);
                State::Name
            }
            State::BeforeValue if is_space => State::BeforeValue,
            State::BeforeValue if c == '\'' => State::SingleQuotes,
            State::BeforeValue if c == '"' => State::DoubleQuotes,
            State::BeforeValue | State::Value if c == '\\' => {
                // White space before a backslash is kept.
                kept_len = value.len();
                State::ValueEscape
            }
            State::BeforeValue | State::Value => {
                value.push(c);
                kept_len = if is_space { kept_len } else { value.len() };
                State::Value
            }
            State::ValueEscape => {
                // A continued line.
                if !is_line_end {
                    value.push(c);
                }
                kept_len = value.len();
                State::Value
            }
            State::SingleQuotes if c == '\'' => State::BeforeValue,
            State::DoubleQuotes if c == '"' => State::BeforeValue,
            State::DoubleQuotes if c == '\\' => State::DoubleQuotesEscape,
            State::SingleQuotes | State::DoubleQuotes => {
                value.push(c);
                state
            }
            State::DoubleQuotesEscape => {
                match c {
                    '"' | '\\' | '`' | '$' => value.push(c),
                    // A continued line.
                    '\n' => {}
                    c => value.extend(['\\', c]),
                }
                State::DoubleQuotes
            }
            State::Comment if is_line_end => State::BeforeName,
            State::Comment => State::Comment,
        };
        line += usize::from(c == '\n');
    }
    // A quote is open, or the last line is continued.
    if state != State::BeforeName {
        invalid.push(first_line);
    }
    if invalid.is_empty() { Ok(variables) } else { Err(invalid) }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
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
            ("A=b\r\n", "b"),
            // Quotes within an unquoted value are ordinary characters.
            ("A=ab'c'd", "ab'c'd"),
            ("A=x\"y\"z", "x\"y\"z"),
            ("A=it's", "it's"),
            ("A=a \"b\"", "a \"b\""),
            ("A=\\'a'", "'a'"),
            // Quoted pieces are joined, and what follows them.
            ("A=\"q\" tail  # c", "qtail  # c"),
            ("A=\"q\"'r'  \"s\"  ", "qrs"),
            ("A=\"\"", ""),
            ("A=  'b'", "b"),
            // Escapes.
            ("A=b\\ ", "b "),
            ("A=b \\\n c  ", "b  c"),
            ("A=\\\n  b", "  b"),
            ("A=\"b\\\nc\"", "bc"),
            ("A='b\\\nc'", "b\\\nc"),
            ("A=\"\\`\\n\"", "`\\n"),
            ("A=b\\\r\n", "b"),
            // Comments.
            ("# a \\\nA=b", "b"),
            ("  ; 'open\nA=b", "b"),
            ("A=b;c#d", "b;c#d"),
            ("A=#b", "#b"),
            // Names.
            ("A =b", "b"),
            ("\tA\t= b", "b"),
            ("A=ü", "ü"),
        ] {
            assert_eq!(parse(text), Ok(vec![("A".to_owned(), expected.to_owned())]), "{text:?}");
        }
        assert_eq!(parse("A=1\nB=2\nA=3"), Ok([("A", "1"), ("B", "2"), ("A", "3")].map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec()));
    }

    #[test]
    fn lines_that_are_not_assignments_are_reported() {
        assert_eq!(parse("A=1\nhunter2\nexport B=2\n1C=3\n=x\nD=\"open"), Err(vec![2, 3, 4, 5, 6]));
        assert_eq!(parse("A=\"1\n2\"\n\nB C=3\nD='open\nE=1\n"), Err(vec![4, 5]));
        assert_eq!(parse("A=1\nB=2\\"), Err(vec![2]));
        assert_eq!(parse("A=1\nB=2\\\n"), Err(vec![2]));
    }
}
