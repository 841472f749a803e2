//! Readers of values that no path, table or expression can read. Definitions refer to them by name.

/// A reader of a value.
#[derive(Clone, Copy, Debug)]
pub struct TextReader {
    /// The name in a definition.
    pub name: &'static str,
    /// Makes the value from the text.
    pub read: fn(&str) -> Option<String>,
}

/// All readers.
pub static READERS: &[TextReader] = &[TextReader { name: "hex_milliseconds", read: hex_milliseconds }];

/// The names of all readers.
pub(in crate::source) fn reader_names() -> Vec<&'static str> {
    READERS.iter().map(|reader| reader.name).collect()
}

/// Unix milliseconds in hexadecimal to Unix seconds.
fn hex_milliseconds(text: &str) -> Option<String> {
    let milliseconds = u64::from_str_radix(text, 16).ok()?;
    Some(format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000))
}
