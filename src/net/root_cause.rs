//! The causes of errors.

use std::error::Error;

/// Returns the innermost source of an error, as text: the outer ones only repeat that something failed.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The text of a cause without its digits: times, durations and ports differ each time although the cause is the same.
pub(crate) fn stable_cause(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}
