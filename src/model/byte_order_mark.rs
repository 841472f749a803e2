//! The byte order mark, which some programs write at the beginning of a text in UTF-8.

/// Returns a text without the byte order mark at its beginning, which is not part of it (RFC 8259, section 8.1).
#[must_use]
pub fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
