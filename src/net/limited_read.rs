//! Reading of input whose size is limited.

use std::io::{self, Read};

/// Reads up to one byte more than the limit, which shows that the limit is exceeded.
///
/// # Errors
/// The error of the reader.
pub(crate) fn read_limited(from: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_more_than_the_limit_is_read() {
        let read = |text: &str| read_limited(text.as_bytes(), 3).map_err(|_| ());
        assert_eq!(read("ab"), Ok(b"ab".to_vec()));
        assert_eq!(read("abc"), Ok(b"abc".to_vec()));
        assert_eq!(read("abcde"), Ok(b"abcd".to_vec()));
    }
}
