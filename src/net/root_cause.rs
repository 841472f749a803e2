//! The innermost cause of an error.

use std::error::Error;

/// Returns the innermost source of an error, as text: the outer ones only repeat that something failed.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
