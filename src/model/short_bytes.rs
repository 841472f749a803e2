//! Copies, moves and comparisons of short texts without calls of the C library.
//!
//! Every line of a page and every point of a request consists of texts of some ten bytes. musl, with which the static release is linked,
//! copies them with an instruction that takes as long to start as to copy them, and compares them byte by byte.

use std::ops::Range;

/// Longer texts are left to the C library.
const SHORT_BYTES_MAX: usize = 256;

/// Adds bytes to a buffer.
#[inline]
pub(crate) fn append(to: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() > SHORT_BYTES_MAX {
        return to.extend_from_slice(bytes);
    }
    to.reserve(bytes.len());
    match bytes.len() {
        32.. => append_chunks::<32>(to, bytes),
        16.. => append_chunks::<16>(to, bytes),
        8.. => append_chunks::<8>(to, bytes),
        4.. => append_chunks::<4>(to, bytes),
        _ => bytes.iter().for_each(|byte| to.push(*byte)),
    }
}

/// Adds at least `N` bytes, `N` at a time. The last ones overlap the others, so that no remainder is copied byte by byte.
#[inline]
fn append_chunks<const N: usize>(to: &mut Vec<u8>, bytes: &[u8]) {
    let (chunks, rest) = bytes.as_chunks::<N>();
    chunks.iter().for_each(|chunk| to.extend_from_slice(chunk));
    if let Some(last) = bytes.last_chunk::<N>().filter(|_| !rest.is_empty()) {
        to.truncate(to.len() - (N - rest.len()));
        to.extend_from_slice(last);
    }
}

/// Moves a range of a buffer to an earlier position.
#[inline]
pub(crate) fn move_back(bytes: &mut [u8], from: Range<usize>, to: usize) {
    let len = from.len();
    if len <= SHORT_BYTES_MAX
        && let Some((before, after)) = bytes.split_at_mut_checked(from.start)
        && let (Some(to), Some(from)) = (before.get_mut(to..to + len), after.get(..len))
    {
        match len {
            32.. => copy_chunks::<32>(to, from),
            16.. => copy_chunks::<16>(to, from),
            8.. => copy_chunks::<8>(to, from),
            4.. => copy_chunks::<4>(to, from),
            _ => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
        }
    } else {
        // They overlap, or are long.
        bytes.copy_within(from, to);
    }
}

/// Copies at least `N` bytes of equally long texts, `N` at a time. The last ones overlap the others.
#[inline]
fn copy_chunks<const N: usize>(to: &mut [u8], from: &[u8]) {
    to.as_chunks_mut::<N>().0.iter_mut().zip(from.as_chunks::<N>().0).for_each(|(to, from)| *to = *from);
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to = *from;
    }
}

/// Returns true if both are equal.
#[inline]
pub(crate) fn are_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && match a.len() {
            16.. => have_equal_chunks::<16>(a, b),
            8.. => have_equal_chunks::<8>(a, b),
            4.. => have_equal_chunks::<4>(a, b),
            _ => a.iter().eq(b),
        }
}

/// Compares at least `N` bytes of equally long texts, `N` at a time. The last ones overlap the others.
#[inline]
fn have_equal_chunks<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    let mut chunks = a.as_chunks::<N>().0.iter().zip(b.as_chunks::<N>().0);
    chunks.all(|(a, b)| a == b) && a.last_chunk::<N>() == b.last_chunk::<N>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_are_appended_and_compared() {
        let bytes: Vec<u8> = (0..600_u32).map(|at| (at * 7) as u8).collect();
        for len in 0..bytes.len() {
            for start in [0, 1, 5] {
                let text = &bytes[start..(start + len).min(bytes.len())];
                let mut appended = b"before".to_vec();
                append(&mut appended, text);
                assert_eq!(appended, [b"before", text].concat(), "{len} bytes");
                assert!(are_equal(text, &appended[b"before".len()..]));
                for changed in 0..text.len() {
                    let mut other = text.to_vec();
                    other[changed] ^= 1;
                    assert!(!are_equal(text, &other), "byte {changed} of {len}");
                }
            }
            assert!(!are_equal(&bytes[..len], &bytes[..len + 1]));
        }
    }

    #[test]
    fn ranges_of_every_length_are_moved() {
        let bytes: Vec<u8> = (0..900_u32).map(|at| (at * 7) as u8).collect();
        for len in 0..300 {
            // From overlapping to far apart.
            for (start, to) in [(10, 10), (11, 10), (10 + len / 2, 10), (10 + len, 10), (500, 0)] {
                let mut moved = bytes.clone();
                move_back(&mut moved, start..start + len, to);
                let expected = [&bytes[..to], &bytes[start..start + len], &bytes[to + len..]].concat();
                assert_eq!(moved, expected, "{len} bytes from {start} to {to}");
            }
        }
    }
}
