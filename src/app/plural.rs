//! Counts with their nouns.

/// Formats a count with its noun, as `1 target` or `5 targets`.
pub(super) fn pluralize(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
