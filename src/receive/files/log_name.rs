//! The names of rotated files: `mail.log.1`, `mail.log-20261128`, `mail.log.old`, perhaps compressed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The extension of files that were compressed by gzip.
pub(super) const GZIP_EXTENSION: &[u8] = b".gz";
/// The extensions of files that were compressed in another way. They cannot be read.
const UNREADABLE: &[&[u8]] = &[b".bz2", b".xz", b".zst", b".Z", b".zip", b".lz4"];
/// The length from which a number is a date. Smaller numbers rise with time in some logs, and fall in others.
const DATE_LENGTH_MIN: usize = 8;

/// The compression of a rotated file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Unreadable,
}

/// The name of a rotated file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RotatedName<'n> {
    pub compression: Compression,
    separator: u8,
    suffix: &'n [u8],
}

impl<'n> RotatedName<'n> {
    /// Parses a name. `None`: the file does not belong to the log.
    pub(super) fn parse(log: &OsStr, name: &'n OsStr) -> Option<Self> {
        let [separator @ (b'.' | b'-' | b'_'), suffix @ ..] = name.as_bytes().strip_prefix(log.as_bytes())? else { return None };
        let without = |end: &[u8], compression| Some((suffix.strip_suffix(end)?, compression));
        let unreadable = || UNREADABLE.iter().find_map(|end| without(end, Compression::Unreadable));
        let (suffix, compression) = without(GZIP_EXTENSION, Compression::Gzip).or_else(unreadable).unwrap_or((suffix, Compression::None));
        let is_numbered = suffix.first().is_some_and(u8::is_ascii_digit) || suffix == b"old";
        is_numbered.then_some(Self { compression, separator: *separator, suffix })
    }

    /// The date in the name, with the separator before it. A later one is greater.
    pub(super) fn date(&self) -> Option<(u8, usize, &'n [u8])> {
        let is_number = self.suffix.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
        (is_number && self.suffix.len() >= DATE_LENGTH_MIN).then_some((self.separator, self.suffix.len(), self.suffix))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_rotated_files_are_known() {
        let compression = |name: &str| RotatedName::parse(OsStr::new("mail"), OsStr::new(name)).map(|name| name.compression);
        for (name, expected) in [
            ("mail.1", Some(Compression::None)),
            ("mail-20261128", Some(Compression::None)),
            ("mail.old", Some(Compression::None)),
            ("mail.1.gz", Some(Compression::Gzip)),
            ("mail.old.gz", Some(Compression::Gzip)),
            ("mail-20261128.xz", Some(Compression::Unreadable)),
            ("mail", None),
            ("mail.gz", None),
            ("mail.err", None),
            ("mail.log", None),
            ("other.1", None),
        ] {
            assert_eq!(compression(name), expected, "{name}");
        }
    }

    #[test]
    fn dates_rise() {
        let date = |name| RotatedName::parse(OsStr::new("mail"), OsStr::new(name)).unwrap().date();
        assert!(date("mail-20261201") > date("mail-20261128.gz") && date("mail-20261128.gz").is_some());
        assert!(date("mail.20261128-101500") > date("mail.20261128-091500") && date("mail.1700000000") > date("mail.999999999"));
        assert_eq!([date("mail.1"), date("mail.1000.gz"), date("mail.old"), date("mail.20261128x")], [None; 4]);
    }
}
